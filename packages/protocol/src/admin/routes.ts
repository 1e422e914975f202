import { z } from 'zod';

import { deploymentEventSchema, deployRequestSchema, undeployRequestSchema } from './deployments.ts';
import { drainEventSchema, drainPeerRequestSchema, undrainPeerRequestSchema } from './drains.ts';
import {
  clientAnswerSchema,
  inviteAnswerSchema,
  inviteRequestSchema,
  memberRequestSchema,
  membersAnswerSchema,
  rotateRequestSchema,
} from './membership.ts';
import { planAnswerSchema, planRequestSchema } from './plans.ts';
import type { AdminRoute, Callers } from './route.ts';
import { daemonStatusSchema, meshStatusSchema, stoppingSchema } from './status.ts';

/** A request without fields. */
const nothing = z.object({});
/** An answer without fields: the change was made. */
const done = z.object({});

/**
 * All routes of a daemon other than those of generations. Its server mounts them and its clients call them, so a route
 * outside this table exists nowhere. A daemon that does not coordinate refuses the coordinator's routes with
 * `not-running`.
 */
export const adminRoutes = {
  status: { method: 'GET', path: '/skein/v1/status', callers: 'any', request: nothing, answer: meshStatusSchema },
  /**
   * Adds one replica of a model. A caller that leaves before the replica is ready takes it down again, but not one that
   * was there.
   */
  deploy: {
    method: 'POST',
    path: '/skein/v1/deployments',
    callers: 'any',
    request: deployRequestSchema,
    event: deploymentEventSchema,
    withoutEvents: 'last-event',
  },
  /** Plans a deployment without making it, on the mesh as it is or as it would be. */
  plan: {
    method: 'POST',
    path: '/skein/v1/plans',
    callers: 'any',
    request: planRequestSchema,
    answer: planAnswerSchema,
  },
  /** Takes a deployment down. A caller that leaves earlier changes nothing. */
  undeploy: {
    method: 'DELETE',
    path: '/skein/v1/deployments/:id',
    callers: 'any',
    request: undeployRequestSchema,
    event: deploymentEventSchema,
    withoutEvents: 'nothing',
  },
  /**
   * Drains a machine: it takes no more stages, and this coordinator's deployments there move to others. Refused, with
   * nothing changed, where one has no room elsewhere. A caller that leaves earlier changes nothing.
   */
  drain: {
    method: 'POST',
    path: '/skein/v1/peers/:peer/drain',
    callers: 'any',
    request: drainPeerRequestSchema,
    event: drainEventSchema,
    withoutEvents: 'last-event',
  },
  /** Has a drained machine take stages again. */
  undrain: {
    method: 'DELETE',
    path: '/skein/v1/peers/:peer/drain',
    callers: 'any',
    request: undrainPeerRequestSchema,
    answer: done,
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
  /** Announces the models that this machine's store holds now to the mesh, as after a pull. */
  announceModels: {
    method: 'POST',
    path: '/skein/v1/daemon/models/announce',
    callers: 'local',
    request: nothing,
    answer: done,
  },
  /** Makes the machine leave its mesh, and stops its daemon. */
  leave: { method: 'POST', path: '/skein/v1/daemon/leave', callers: 'local', request: nothing, answer: done },
  /** Admits a client on this machine for an hour. */
  admitClient: {
    method: 'POST',
    path: '/skein/v1/clients',
    callers: 'local',
    request: memberRequestSchema,
    answer: clientAnswerSchema,
  },

  /** Makes an invite. This route and those below need the daemon that holds the mesh's authority. */
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

/** Names of the routes that these callers may use. */
export type AdminRouteName<Who extends Callers> = {
  [Name in keyof AdminRoutes]: AdminRoutes[Name]['callers'] extends Who ? Name : never;
}[keyof AdminRoutes];
