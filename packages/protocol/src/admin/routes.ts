import { z } from 'zod';

import { deploymentEventSchema, deploymentRequestSchema, undeployRequestSchema } from './deployments.ts';
import {
  clientAnswerSchema,
  inviteAnswerSchema,
  inviteRequestSchema,
  memberRequestSchema,
  membersAnswerSchema,
  rotateRequestSchema,
} from './membership.ts';
import type { AdminRoute, Callers } from './route.ts';
import { daemonStatusSchema, meshStatusSchema, stoppingSchema } from './status.ts';

/** A request that says all by its method and path. */
const nothing = z.object({});
/** The answer once something has been done. */
const done = z.object({});

/**
 * All that can be asked of a daemon beside generations. Its server mounts these routes and its clients call them: a route has
 * to be here to be anywhere. A daemon that does not coordinate refuses those of the coordinator with `not-running`.
 */
export const adminRoutes = {
  status: { method: 'GET', path: '/skein/v1/status', callers: 'any', request: nothing, answer: meshStatusSchema },
  /** Puts one more replica of a model on peers. Leaving before it is ready takes it down again. */
  deploy: {
    method: 'POST',
    path: '/skein/v1/deployments',
    callers: 'any',
    request: deploymentRequestSchema,
    event: deploymentEventSchema,
    withoutEvents: 'last-event',
  },
  /** Takes a deployment down. Leaving before it is gone changes nothing. */
  undeploy: {
    method: 'DELETE',
    path: '/skein/v1/deployments/:id',
    callers: 'any',
    request: undeployRequestSchema,
    event: deploymentEventSchema,
    withoutEvents: 'nothing',
  },

  daemonStatus: {
    method: 'GET',
    path: '/skein/v1/daemon',
    callers: 'local',
    request: nothing,
    answer: daemonStatusSchema,
  },
  /** Stops the daemon. The stream ends when its process is gone. */
  stop: { method: 'POST', path: '/skein/v1/daemon/stop', callers: 'local', request: nothing, event: stoppingSchema },
  /** Tells the mesh of the models that the store of this machine holds now, as after a pull. */
  announceModels: {
    method: 'POST',
    path: '/skein/v1/daemon/models/announce',
    callers: 'local',
    request: nothing,
    answer: done,
  },
  /** The machine leaves its mesh, and its daemon stops. */
  leave: { method: 'POST', path: '/skein/v1/daemon/leave', callers: 'local', request: nothing, answer: done },
  /** Lets a client of this machine in for an hour. */
  admitClient: {
    method: 'POST',
    path: '/skein/v1/clients',
    callers: 'local',
    request: memberRequestSchema,
    answer: clientAnswerSchema,
  },

  /** These are for the machine that has the mesh's authority. */
  invite: {
    method: 'POST',
    path: '/skein/v1/invites',
    callers: 'local',
    request: inviteRequestSchema,
    answer: inviteAnswerSchema,
  },
  members: {
    method: 'GET',
    path: '/skein/v1/members',
    callers: 'local',
    request: nothing,
    answer: membersAnswerSchema,
  },
  approve: {
    method: 'POST',
    path: '/skein/v1/members/:peer/approve',
    callers: 'local',
    request: memberRequestSchema,
    answer: done,
  },
  revoke: {
    method: 'DELETE',
    path: '/skein/v1/members/:peer',
    callers: 'local',
    request: memberRequestSchema,
    answer: done,
  },
  rotate: { method: 'POST', path: '/skein/v1/epochs', callers: 'local', request: rotateRequestSchema, answer: done },
} as const satisfies Record<string, AdminRoute>;

export type AdminRoutes = typeof adminRoutes;

/** Names of the routes for these callers. */
export type AdminRouteName<Who extends Callers> = {
  [Name in keyof AdminRoutes]: AdminRoutes[Name]['callers'] extends Who ? Name : never;
}[keyof AdminRoutes];
