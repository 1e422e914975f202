import { arraySchema, limits, stageLoadSchema } from '@skein/protocol';
import { z } from 'zod';

import { validate } from '../validate.ts';

const { contextTokens, sequences, cacheType, activations, threads } = stageLoadSchema.shape;

/** Body of `POST /skein/v1/deployments`. */
const deploymentRequestSchema = z.strictObject({
  /** Name or SHA-256. */
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

/** Throws `invalid-request` that names the field at fault. */
export function parseDeploymentRequest(body: unknown): DeploymentRequest {
  return validate(deploymentRequestSchema, body);
}
