import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { wireErrorSchema } from '../errors/skein-error.ts';
import { logprobsSchema } from '../generation/events.ts';
import { tokensSchema } from '../generation/prompt.ts';
import { samplingSchema } from '../generation/request.ts';
import { limits } from '../limits.ts';

/** A slot of the KV cache. */
const sequence = z
  .number()
  .int()
  .nonnegative()
  .max(limits.maxSlots - 1);
const token = z.number().int().nonnegative();
/** The place in main memory of a sequence that was swapped out. */
const place = z
  .number()
  .int()
  .nonnegative()
  .max(limits.maxSwappedSequences - 1);
const position = z.number().int().nonnegative().max(0x7fff_ffff);

/** A change to the KV cache (or to the tail's sampler). Every stage applies the same ones in the same order. */
export const cacheOperationSchema = z.discriminatedUnion('type', [
  /** Forgets a sequence's cells from position `from` on. */
  z.object({ type: z.literal('remove'), sequence, from: position }),
  /** Lets sequence `to` share the cells of `sequence` before position `before`. `to` has none of its own. */
  z.object({ type: z.literal('copy'), sequence, to: sequence, before: position }),
  /**
   * Moves a sequence's cells to main memory, where attention does not pass over them: those from position `from` on,
   * default 0, and before position `before`, default all. Does nothing where it has none.
   */
  z.object({
    type: z.literal('swap-out'),
    sequence,
    place,
    from: position.optional(),
    before: position.optional(),
  }),
  /**
   * Copies the cells kept in a place, up to position `before`, into cells of `sequence`, which has none at those
   * positions.
   */
  z.object({ type: z.literal('swap-in'), place, sequence, before: position }),
  /** Forgets the cells kept in a place. */
  z.object({ type: z.literal('swap-discard'), place }),
  /**
   * Sets how this sequence's tokens are drawn from now on. Only the tail acts on it. The operation also restores the
   * memory of samplers: the tokens so far (only where a sampler looks at them), and how many of the last of them were
   * generated.
   */
  z.object({
    type: z.literal('sample-with'),
    sequence,
    sampling: samplingSchema,
    history: tokensSchema.optional(),
    generated: position.optional(),
    /** Mirostat's state, from the tail's report of the last token. */
    mu: z.number().optional(),
  }),
]);
export type CacheOperation = z.infer<typeof cacheOperationSchema>;

/** One sequence's share of a micro-batch: `count` rows at `position`, `position + 1`, ... */
export const stepEntrySchema = z.object({
  sequence,
  position,
  count: z.number().int().positive().max(limits.maxBatchTokens),
  /** Whether the tail draws a token after the last of these rows. */
  sample: z.boolean(),
  /**
   * Draft tokens of the last rows. A draft token stands when the tail draws the same token for its position; the tail
   * draws after the row before the first draft token, and on until one falls. Rows behind a fallen one count for
   * nothing, in this step and in those that follow, until the lead sends their positions again.
   */
  draft: arraySchema(token, { most: limits.maxDraftTokens }).optional(),
});
export type StepEntry = z.infer<typeof stepEntrySchema>;

/** Encoding of hidden rows on the wire. */
export const activationsSchema = z.enum(['f32', 'f16']);
export type Activations = z.infer<typeof activationsSchema>;

/**
 * One micro-batch on its way through the stages. The payload holds the hidden rows of all entries in order, little-endian,
 * `rows * hiddenSize` elements.
 */
export const stepSchema = z.object({
  type: z.literal('step'),
  /** Number of the step, counted up from any that the lead has chosen. */
  step: z.number().int().nonnegative(),
  operations: arraySchema(cacheOperationSchema, { most: limits.maxOperations }),
  entries: arraySchema(stepEntrySchema, { most: limits.maxSequences }),
  /** Encoding of the hidden rows, default `f32`. `f16` halves the bytes, and rounds. */
  activations: activationsSchema.optional(),
});
export type Step = z.infer<typeof stepSchema>;

/**
 * The tail's answer to one step: the tokens that it drew for each entry that asked, in the entries' order: one, one
 * more for each draft token that stood, none when the rows followed a draft token that had fallen before.
 */
export const sampledSchema = z.object({
  type: z.literal('sampled'),
  step: z.number().int().nonnegative(),
  draws: arraySchema(
    z.object({
      sequence,
      tokens: arraySchema(token, { most: limits.maxDraftTokens + 1 }),
      /** One per token, when they were asked for. */
      logprobs: arraySchema(logprobsSchema, { most: limits.maxDraftTokens + 1 }).optional(),
      /** Mirostat's state after each token, where it draws. */
      mus: arraySchema(z.number(), { most: limits.maxDraftTokens + 1 }).optional(),
      /**
       * The reason why no token can be drawn for this sequence, in place of tokens, such as a grammar that takes too
       * long to follow.
       */
      error: wireErrorSchema.optional(),
    }),
    { most: limits.maxSequences },
  ),
});
export type Sampled = z.infer<typeof sampledSchema>;

/**
 * A stage's failure to compute a step. It passes along the ring to the lead, which fails the step's sequences. The
 * stages behind apply the step's cache operations all the same, so that the caches stay mirrors of each other.
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
