import { z } from 'zod';

import { peerIdSchema, sha256Schema } from '../ids.ts';
import { cardSchema } from '../mesh/card.ts';
import { scalingSchema } from '../deployment/scaling.ts';
import { deploymentStatusSchema } from './deployments.ts';

const byteCount = z.number().int().nonnegative();
const bytesBothWays = z.object({ sentBytes: byteCount, receivedBytes: byteCount });
/** Encrypted bytes that this member exchanged with others: in total, and by peer id. */
const trafficSchema = z.object({ total: bytesBothWays, peers: z.record(z.string(), bytesBothWays) });

const count = z.number().int().nonnegative();
/** The requests for one model at its coordinator. */
const admissionStatusSchema = z.object({
  /** SHA-256 of the model. */
  model: sha256Schema,
  /** Requests that replicas have, or are about to get. */
  admitted: count,
  /** Requests that wait for that, and the most that may. */
  waiting: count,
  bound: count,
  /** Requests refused since the model was first asked for. */
  refused: count,
});
export type AdmissionStatus = z.infer<typeof admissionStatusSchema>;

/** The mesh as its coordinator sees it. */
export const meshStatusSchema = z.object({
  /** The coordinator's peer id. */
  peer: peerIdSchema,
  addresses: z.array(z.string()),
  /** Every member's card, the coordinator's first. */
  cards: z.array(cardSchema),
  /** Deployments of this coordinator. The cards show stages that others deployed. */
  deployments: z.array(deploymentStatusSchema),
  traffic: trafficSchema,
  /** The requests that wait and run, by model. Missing: the coordinator does not say. */
  admission: z.array(admissionStatusSchema).optional(),
});
export type MeshStatus = z.infer<typeof meshStatusSchema>;

/** A daemon, and the mesh as it sees it. */
export const daemonStatusSchema = z.object({
  pid: z.number().int().positive(),
  /** This member's peer id. */
  peer: peerIdSchema,
  /** URL of the HTTP API, where this machine coordinates. */
  url: z.string().optional(),
  /** Start of the daemon, in milliseconds since 1970. */
  startedAtMs: z.number().int().positive(),
  /** Whether this machine stays awake while it holds a stage. Missing: it does not. */
  keepsAwake: z.boolean().optional(),
  /** Whether another daemon uses this one's identity. */
  hasIdentityConflict: z.boolean(),
  /** Traffic since the daemon started. */
  traffic: trafficSchema,
  /** Cards of all members, its own included. */
  cards: z.array(cardSchema),
  /** The requests that wait and run, by model, where this machine coordinates. */
  admission: z.array(admissionStatusSchema).optional(),
  /** Deployments that can't be placed yet, with the reason. Missing where this machine does not coordinate. */
  waiting: z.array(z.object({ id: z.string(), name: z.string(), reason: z.string() })).optional(),
  /** The terms by which replicas come and go, by model. Missing where this machine places none. */
  scaling: z.array(scalingSchema.extend({ model: sha256Schema, name: z.string() })).optional(),
});
export type DaemonStatus = z.infer<typeof daemonStatusSchema>;

/** The process that stops. The stream ends with it. */
export const stoppingSchema = z.object({ pid: z.number().int().positive() });
