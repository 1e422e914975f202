import { z } from 'zod';

import { deploymentRequestSchema, plannedSpecSchema } from '../deployment/spec.ts';
import { wireErrorSchema } from '../errors/skein-error.ts';
import { blockSchema, stagePhaseSchema } from '../stage/messages.ts';
import { stagePlacementSchema } from '../stage/placement.ts';

const byteCount = z.number().nonnegative();

/** One stage, as its peer last reported it. Sizes in bytes. */
const stageStatusSchema = z.object({
  peer: z.string(),
  block: blockSchema,
  /** Memory that the planner expects it to take. */
  plannedBytes: byteCount,
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
   * `loading`: stages fetch and load. `connecting`: all are ready, the ring is being closed. `ready`: it serves.
   * `draining`: it is being taken down, ends the answers that run and takes no more requests. `failed`: it lost a stage or
   * never got ready; nothing of it is left on the peers. `closed`: taken down on request.
   */
  state: z.enum(['loading', 'connecting', 'ready', 'draining', 'failed', 'closed']),
  /** Reason of the failure, when `failed`. */
  error: wireErrorSchema.optional(),
  /** Answers that still run and requests that wait for their turn, while `draining`. */
  running: z.number().int().nonnegative().optional(),
  /** Stages in pipeline order: the first is the lead. */
  stages: z.array(stageStatusSchema),
  /** The planner's reasons for these peers and layers. */
  explanation: z.string(),
  /** Start of the deployment, in milliseconds since 1970. */
  startedAt: z.number(),
});
export type DeploymentStatus = z.infer<typeof deploymentStatusSchema>;
export type DeploymentState = DeploymentStatus['state'];

/** A model to deploy. */
export const deployRequestSchema = deploymentRequestSchema.extend({
  /** Whether to add no replica where one that is as asked serves or is about to. Default: no. */
  unlessServed: z.boolean().optional(),
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
