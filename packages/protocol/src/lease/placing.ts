import { z } from 'zod';

import { deploymentStatusSchema } from '../admin/deployments.ts';
import { drainEventSchema } from '../admin/drains.ts';
import { planAnswerSchema, planRequestSchema } from '../admin/plans.ts';
import { arraySchema } from '../codec/array-schema.ts';
import { deploymentRequestSchema } from '../deployment/spec.ts';
import { scalingRequestShape } from '../deployment/scaling.ts';
import { limits } from '../limits.ts';
import { deploymentIdSchema, peerIdSchema, sha256Schema } from '../ids.ts';

/** Most deployments that a request for a replica may name as failed. */
export const maxFailedDeployments = 256;

/** Most deployments that one machine can have stages of. */
const maxMoves = 256;

/** A coordinator's request to the one that holds the lease, in place of doing it itself. First frame of a `place` stream. */
export const placeRequestSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('place-deploy'),
    request: deploymentRequestSchema,
    /** Whether to add no replica where one that is as asked serves or is about to. Default: no. */
    unlessServed: z.boolean().optional(),
    /** Whether it is to be placed as soon as that is possible, where it is not now. Default: no. */
    wait: z.boolean().optional(),
    /** Terms by which the model's replicas come and go from now on. Default: those of before. */
    scaling: z.object(scalingRequestShape).optional(),
  }),
  z.object({
    type: z.literal('place-undeploy'),
    deployment: deploymentIdSchema,
    /** Whether to cut the answers that run. Default: no. */
    now: z.boolean().optional(),
  }),
  z.object({ type: z.literal('place-plan'), request: planRequestSchema }),
  z.object({ type: z.literal('place-drain'), peer: peerIdSchema, force: z.boolean().optional() }),
  z.object({ type: z.literal('place-undrain'), peer: peerIdSchema }),
  /** Request for a replica for answers that wait: one that serves, else a new one. */
  z.object({
    type: z.literal('place-ensure'),
    model: sha256Schema,
    /** Deployments that have just failed a request. */
    failed: arraySchema(deploymentIdSchema, { most: maxFailedDeployments }),
  }),
]);
export type PlaceRequest = z.infer<typeof placeRequestSchema>;

const status = deploymentStatusSchema.extend({
  stages: arraySchema(deploymentStatusSchema.shape.stages.element, { most: limits.maxStages }),
});

const drain = drainEventSchema.extend({
  moves: arraySchema(drainEventSchema.shape.moves.element, { most: maxMoves }),
});

/** The holder's answer: statuses while it works, then one of the others. Errors come as `stream-error`. */
export const placeAnswerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('place-status'), deployment: status }),
  z.object({ type: z.literal('place-done'), deployment: status }),
  z.object({ type: z.literal('place-planned'), plan: planAnswerSchema }),
  z.object({ type: z.literal('place-drain-status'), drain }),
  z.object({ type: z.literal('place-drained'), drain }),
  z.object({ type: z.literal('place-undrained') }),
  /** Answer to `place-ensure`. */
  z.object({ type: z.literal('place-route'), deployment: deploymentIdSchema, lead: peerIdSchema }),
]);
export type PlaceAnswer = z.infer<typeof placeAnswerSchema>;
