import { z } from 'zod';

import { replicaRangeSchema, scalingRequestShape } from '../deployment/scaling.ts';
import { deploymentRequestSchema, plannedSpecSchema } from '../deployment/spec.ts';
import { wireErrorSchema } from '../errors/skein-error.ts';
import { blockSchema, stagePhaseSchema } from '../stage/messages.ts';
import { stagePlacementSchema } from '../stage/placement.ts';

const byteCount = z.number().nonnegative();

/** The aims of a plan: the least time of one stream's tokens, or the most tokens of all streams together. */
export const objectives = ['one-stream', 'saturated'] as const;

const tokensPerSecond = z.number().nonnegative();

/** The speed that a replica is expected to have while nobody else uses its machines, with short contexts. */
export const predictionSchema = z.object({
  /** The aim that its layers were placed for. */
  objective: z.enum(objectives),
  /** Decode speed of a single stream. */
  oneStreamTokensPerSecond: tokensPerSecond,
  /** Decode speed of `sequences` streams together. */
  saturatedTokensPerSecond: tokensPerSecond,
  sequences: z.number().int().positive(),
  prefillTokensPerSecond: tokensPerSecond,
  /** Time to the first token of an answer to a prompt of `promptTokens`, of which none is in the cache. */
  ttftMs: z.number().nonnegative(),
  promptTokens: z.number().int().positive(),
  /** Whether all of its machines have measured their speed, rather than being known by the names of their devices. */
  isMeasured: z.boolean(),
});
export type Prediction = z.infer<typeof predictionSchema>;

/** Memory that a stage is to take of one device, in bytes. */
export const deviceMemorySchema = z.object({ device: z.string(), bytes: byteCount });
export type DeviceMemory = z.infer<typeof deviceMemorySchema>;

/** One stage, as its peer last reported it. Sizes in bytes. */
const stageStatusSchema = z.object({
  peer: z.string(),
  block: blockSchema,
  /** Memory that the planner expects it to take. */
  plannedBytes: byteCount,
  /** The same by device. Left out by earlier versions. */
  plannedDevices: z.array(deviceMemorySchema).optional(),
  state: z.enum(['loading', 'ready', 'connected']),
  /** The phase that a loading stage is in, and how far it is. */
  progress: z.object({ phase: stagePhaseSchema, doneBytes: byteCount, totalBytes: byteCount }).optional(),
  /** Once ready: `cpu`, `cuda`, `vulkan` or `metal`. */
  backend: z.string().optional(),
  /** Once ready: bytes that came over the mesh. 0: all was on disk. */
  fetchedBytes: byteCount.optional(),
  /** Once ready: size of the files that were loaded. */
  fileBytes: byteCount.optional(),
  /** Once ready: its place in memory, if its peer tells it. */
  placement: stagePlacementSchema.optional(),
});
export type StageStatus = z.infer<typeof stageStatusSchema>;

/** One deployment at one moment. */
export const deploymentStatusSchema = z.object({
  /** The options with which it was planned, followed by its state. */
  ...plannedSpecSchema.omit({ stages: true, layers: true }).shape,
  id: z.string(),
  name: z.string(),
  /**
   * `waiting`: it can't be placed yet, for the reason in `error`, and is placed when that has changed; until then it has
   * no stages, and its context is the least that it may get. `loading`: stages fetch and load. `connecting`: all are
   * ready, the ring is being closed. `ready`: it serves.
   * `draining`: it is being taken down, ends the answers that run and takes no more requests. `failed`: it lost a stage or
   * never got ready; nothing of it is left on the peers. `closed`: taken down on request.
   */
  state: z.enum(['waiting', 'loading', 'connecting', 'ready', 'draining', 'failed', 'closed']),
  /** Reason of the failure, when `failed`, or of the wait, when `waiting`. */
  error: wireErrorSchema.optional(),
  /** Answers that still run and requests that wait for their turn, while `draining`. */
  running: z.number().int().nonnegative().optional(),
  /** Stages in pipeline order: the first is the lead. */
  stages: z.array(stageStatusSchema),
  /** The planner's reasons for these peers and layers. */
  explanation: z.string(),
  /** The speed that the planner expects. Left out by earlier versions. */
  prediction: predictionSchema.optional(),
  /** Start of the deployment, in milliseconds since 1970. */
  startedAt: z.number(),
  /** The terms by which the model's replicas come and go. Left out where they do by hand alone, and by earlier versions. */
  replicas: replicaRangeSchema.optional(),
  idleMs: z.number().optional(),
  pinned: z.boolean().optional(),
  standby: z.number().int().nonnegative().optional(),
  /** Whether it is a standby, which takes requests where no other replica of the model may. Left out for all others. */
  isStandby: z.boolean().optional(),
});
export type DeploymentStatus = z.infer<typeof deploymentStatusSchema>;
export type DeploymentState = DeploymentStatus['state'];

/** A model to deploy. */
export const deployRequestSchema = deploymentRequestSchema.extend({
  ...scalingRequestShape,
  /** Whether to add no replica where one that is as asked serves or is about to. Default: no. */
  unlessServed: z.boolean().optional(),
  /**
   * Whether it stays desired where it can't be placed yet, for want of machines, memory or the model, and is placed when
   * that has changed. A caller that leaves takes nothing down then. Default: no.
   */
  wait: z.boolean().optional(),
});

/** The status of a deployment after one step of a change. */
export const deploymentEventSchema = z.object({ deployment: deploymentStatusSchema });

const trueOrFalse = z.enum(['true', 'false'], { error: 'must be true or false' });

/** A deployment to take down. */
export const undeployRequestSchema = z.object({
  id: z.string().min(1),
  /** Whether to cut the answers that run instead of letting them end. */
  now: trueOrFalse.default('false').transform((text) => text === 'true'),
});
