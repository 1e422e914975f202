import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { wireErrorSchema } from '../errors/skein-error.ts';
import { sha256Schema } from '../ids.ts';
import { limits } from '../limits.ts';
import { activationsSchema } from '../ring/messages.ts';
import { blockSchema, cacheTypeSchema, stageLoadSchema, stagePhaseSchema } from '../stage/messages.ts';

const byteCount = z.number().nonnegative();
const { contextTokens, sequences, cacheType, activations, threads } = stageLoadSchema.shape;

/** A request to deploy a model. The coordinator chooses the fields that are left out. */
export const deploymentRequestSchema = z.strictObject({
  /** Name or SHA-256 of the model. */
  model: z.string().min(1).max(limits.maxNameLength),
  stages: z.number().int().positive().max(limits.maxStages).optional(),
  /** Layers of each stage, from the lead on. */
  layers: arraySchema(z.number().int().positive().max(limits.maxLayers), {
    least: 1,
    most: limits.maxStages,
  }).optional(),
  contextTokens: contextTokens.optional(),
  sequences: sequences.optional(),
  cacheType,
  activations,
  threads,
});
export type DeploymentRequest = z.infer<typeof deploymentRequestSchema>;

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
});
export type StageStatus = z.infer<typeof stageStatusSchema>;

/** One deployment at one moment. */
export const deploymentStatusSchema = z.object({
  id: z.string(),
  model: sha256Schema,
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
  /** Tokens of KV cache, shared by all sequences. */
  contextTokens: z.number(),
  sequences: z.number(),
  /** Storage of keys and values. */
  cacheType: cacheTypeSchema.default('f16'),
  /** Encoding of hidden rows on their way from stage to stage. */
  activations: activationsSchema.default('f32'),
  /** The planner's reasons for these peers and layers. */
  explanation: z.string(),
  /** Start of the deployment, in milliseconds since 1970. */
  startedAt: z.number(),
});
export type DeploymentStatus = z.infer<typeof deploymentStatusSchema>;
export type DeploymentState = DeploymentStatus['state'];

/** The status of a deployment after one step of a change. */
export const deploymentEventSchema = z.object({ deployment: deploymentStatusSchema });

const trueOrFalse = z.enum(['true', 'false'], { error: 'must be true or false' });

/** A deployment to take down. */
export const undeployRequestSchema = z.object({
  id: z.string().min(1),
  /** Whether to cut the answers that run instead of letting them end. */
  now: trueOrFalse.default('false').transform((text) => text === 'true'),
});
