import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { deploymentRequestSchema } from '../deployment/spec.ts';
import { maxReplicas } from '../deployment/scaling.ts';
import { wireErrorSchema } from '../errors/skein-error.ts';
import { labelsSchema } from '../mesh/certificate.ts';
import { blockSchema } from '../stage/messages.ts';
import { maxGpus } from '../stage/placement.ts';
import { deviceMemorySchema, predictionSchema } from './deployments.ts';
import type { Immutable } from './route.ts';

const byteCount = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);
const shortText = z.string().min(1).max(256);

/** A machine that is not there, for a plan with it. */
export const addedMachineSchema = z.strictObject({
  name: shortText,
  /** All of its main memory. */
  memoryBytes: byteCount,
  /** Name of its processor, by which its speed is known. Default: some desktop's. */
  cpu: shortText.optional(),
  /** Physical cores. Default: 8. */
  cores: z.number().int().positive().max(1024).optional(),
  /** GPUs with memory of their own. Default: none. */
  gpus: arraySchema(z.strictObject({ name: shortText, memoryBytes: byteCount }), { most: maxGpus }).optional(),
  /** The way from it to each other machine. Default: Gigabit Ethernet. */
  link: z
    .strictObject({
      roundTripMs: z.number().nonnegative().max(60_000),
      bytesPerSecond: z.number().positive().max(Number.MAX_SAFE_INTEGER),
    })
    .optional(),
  /** Labels that it would get. Default: none. */
  labels: labelsSchema.optional(),
});
export type AddedMachine = Immutable<z.infer<typeof addedMachineSchema>>;

/** Most machines that a plan may be asked with, beside those of the mesh. */
export const maxAddedMachines = 16;

/** A deployment to plan, without making it, and changes of the mesh to plan it with. */
export const planRequestSchema = deploymentRequestSchema.extend({
  add: arraySchema(addedMachineSchema, { most: maxAddedMachines }).optional(),
  /** Peer ids of machines to plan without. */
  remove: arraySchema(z.string().min(1).max(256), { most: 64 }).optional(),
  /** Number of replicas to plan beside those that serve. Default: 1. */
  replicas: z.number().int().min(1).max(maxReplicas).optional(),
});
export type PlanRequest = Immutable<z.infer<typeof planRequestSchema>>;

/** One way to place a replica. */
const describedPlanSchema = z.object({
  stages: z.array(
    z.object({
      /** Peer id; of a machine that is not there `added/` and its name. */
      peer: z.string(),
      /** Name of the machine. */
      on: z.string(),
      block: blockSchema,
      /** Memory that it would take, in bytes: all, and by device. */
      bytes: z.number().nonnegative(),
      devices: z.array(deviceMemorySchema),
    }),
  ),
  prediction: predictionSchema,
  /** Tokens of context that it has room for. Left out by earlier versions. */
  contextTokens: z.number().int().positive().optional(),
  explanation: z.string(),
});
export type DescribedPlan = z.infer<typeof describedPlanSchema>;

/** The replicas of a plan that have a place, taken together. */
const togetherSchema = z.object({
  /** Number of them, and of those that were asked for. */
  replicas: z.number().int().positive(),
  asked: z.number().int().positive(),
  /** Number of machines that they lie on. */
  machines: z.number().int().positive(),
  /** Memory that they would take, in bytes. */
  bytes: z.number().nonnegative(),
  /** Streams that they serve at once. */
  sequences: z.number().int().positive(),
  /** Decode speed of all those streams, and speed at which prompts are read: replicas that share a machine slow each other. */
  saturatedTokensPerSecond: z.number().nonnegative(),
  prefillTokensPerSecond: z.number().nonnegative(),
});
export type PlansTogether = z.infer<typeof togetherSchema>;

/** A plan, or the reason why there is none. */
const plannedSchema = z.object({
  /** The plan of the first replica. */
  plan: describedPlanSchema.optional(),
  /** Plans of the replicas after it, in the order in which they would be placed. Left out where one was asked for. */
  further: z.array(describedPlanSchema).optional(),
  /** All of them. Left out where one replica was asked for, or none has a place. */
  together: togetherSchema.optional(),
  /** The reason why there is no plan, or no further one than those. */
  problem: wireErrorSchema.optional(),
  /** A smaller context with which more replicas would have a place, and how many. Left out where none is known. */
  smallerContext: z
    .object({ contextTokens: z.number().int().positive(), replicas: z.number().int().positive() })
    .optional(),
});
export type Planned = z.infer<typeof plannedSchema>;

export const planAnswerSchema = plannedSchema.extend({
  /** SHA-256 of the model. */
  model: z.string(),
  name: z.string(),
  /** Tokens of context that the plan has room for. Left out where there is no plan. */
  contextTokens: z.number().int().positive().optional(),
  /** The best plan of each other kind: in other memory, or with another number of stages. */
  alternatives: z.array(describedPlanSchema),
  /** The same for the mesh as it is, where the request changes it. */
  now: plannedSchema.optional(),
});
export type PlanAnswer = z.infer<typeof planAnswerSchema>;
