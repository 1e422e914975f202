import { z } from 'zod';

import { wireErrorSchema } from '../errors/skein-error.ts';
import { samplingSchema } from '../generation/request.ts';
import { limits } from '../limits.ts';

const sequence = z
  .number()
  .int()
  .nonnegative()
  .max(limits.maxSequences - 1);
const position = z.number().int().nonnegative().max(0x7fff_ffff);

/** A change to the KV cache (or to the tail's sampler). Every stage applies the same ones in the same order. */
export const cacheOperationSchema = z.discriminatedUnion('type', [
  /** Forget a sequence's cells from position `from` on. */
  z.object({ type: z.literal('remove'), sequence, from: position }),
  /** From now on draw this sequence's tokens this way. Only the tail acts on it. */
  z.object({ type: z.literal('sample-with'), sequence, sampling: samplingSchema }),
]);
export type CacheOperation = z.infer<typeof cacheOperationSchema>;

/** What one sequence contributes to a micro-batch: `count` rows at `position`, `position + 1`, ... */
export const stepEntrySchema = z.object({
  sequence,
  position,
  count: z.number().int().positive().max(limits.maxBatchTokens),
  /** Whether the tail draws a token after the last of these rows. */
  sample: z.boolean(),
});
export type StepEntry = z.infer<typeof stepEntrySchema>;

/**
 * One micro-batch on its way through the stages. The payload holds the hidden rows of all entries in order, as
 * little-endian f32, `rows * hiddenSize * 4` bytes.
 */
export const stepSchema = z.object({
  type: z.literal('step'),
  /** Counts up from 0 on each ring. */
  step: z.number().int().nonnegative(),
  operations: z.array(cacheOperationSchema).max(limits.maxSequences * 4),
  entries: z.array(stepEntrySchema).max(limits.maxSequences),
});
export type Step = z.infer<typeof stepSchema>;

/** The tail's answer to one step: a token for each entry that asked for one, in the entries' order. */
export const sampledSchema = z.object({
  type: z.literal('sampled'),
  step: z.number().int().nonnegative(),
  tokens: z.array(z.object({ sequence, token: z.number().int().nonnegative() })).max(limits.maxSequences),
});
export type Sampled = z.infer<typeof sampledSchema>;

/**
 * A stage could not compute a step. Passed along the ring to the lead, which fails the step's sequences. The stages
 * behind apply the step's cache operations all the same, so that the caches stay mirrors of each other.
 */
export const stepFailedSchema = z.object({
  type: z.literal('step-failed'),
  step: z.number().int().nonnegative(),
  operations: stepSchema.shape.operations,
  error: wireErrorSchema,
});
export type StepFailed = z.infer<typeof stepFailedSchema>;

export const ringMessageSchema = z.discriminatedUnion('type', [stepSchema, sampledSchema, stepFailedSchema]);
export type RingMessage = z.infer<typeof ringMessageSchema>;
