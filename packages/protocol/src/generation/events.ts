import { z } from 'zod';

import { wireErrorSchema } from '../errors/skein-error.ts';
import { limits } from '../limits.ts';

const tokenCount = z.number().int().nonnegative();
const milliseconds = z.number().nonnegative();

export const finishReasonSchema = z.enum(['stop', 'length']);
export type FinishReason = z.infer<typeof finishReasonSchema>;

export const usageSchema = z.object({ promptTokens: tokenCount, completionTokens: tokenCount });
export type Usage = z.infer<typeof usageSchema>;

/**
 * What a lead sends back on a `generate` stream: text as it comes, then exactly one end or error.
 * A stream that stops without either was lost.
 */
export const generationEventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('text-delta'),
    /** May be empty while bytes of a character, or the start of a stop string, are held back. */
    text: z.string(),
    tokens: z.array(z.number().int().nonnegative()).max(limits.maxBatchTokens),
  }),
  z.object({
    type: z.literal('generation-end'),
    finishReason: finishReasonSchema,
    usage: usageSchema,
    timings: z.object({
      /** From the request's arrival at the lead to its first token. */
      firstTokenMs: milliseconds,
      /** From the first token to the last. */
      decodeMs: milliseconds,
    }),
  }),
  z.object({ type: z.literal('generation-error'), error: wireErrorSchema }),
]);
export type GenerationEvent = z.infer<typeof generationEventSchema>;
