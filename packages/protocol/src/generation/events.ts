import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { wireErrorSchema } from '../errors/skein-error.ts';
import { sha256Schema } from '../ids.ts';
import { limits } from '../limits.ts';

const tokenCount = z.number().int().nonnegative().max(0x7fff_ffff);
const milliseconds = z.number().nonnegative();

export const finishReasonSchema = z.enum(['stop', 'length']);
export type FinishReason = z.infer<typeof finishReasonSchema>;

/** Most times that an answer counts as having gone on at another replica. */
export const maxFailovers = 255;

export const usageSchema = z.object({
  promptTokens: tokenCount,
  completionTokens: tokenCount,
  /** Prompt tokens whose keys and values were in the cache already. */
  cachedTokens: tokenCount.optional(),
  /** Tokens that were drafted ahead, and how many of them were right. */
  draftedTokens: tokenCount.optional(),
  acceptedTokens: tokenCount.optional(),
  /** Number of times that the answer went on at another replica because one was lost. Left out where none was. */
  failovers: z.number().int().positive().max(maxFailovers).optional(),
  /** Time for which the reader waited because of that, in milliseconds, from the last token before to the next. */
  pauseMs: milliseconds.optional(),
});
export type Usage = z.infer<typeof usageSchema>;

const generationTimingsSchema = z.object({
  /** From the request's arrival at the lead to its first token. */
  firstTokenMs: milliseconds,
  /** From the first token to the last. */
  decodeMs: milliseconds,
});
/** Times that a lead has measured, in milliseconds. */
export type GenerationTimings = z.infer<typeof generationTimingsSchema>;

const tokenLogprob = z.object({ token: tokenCount, logprob: z.number() });

/**
 * Natural logarithms of a token's probability before any sampler changed it, and of the likeliest tokens at its place.
 */
export const logprobsSchema = tokenLogprob.extend({ top: arraySchema(tokenLogprob, { most: limits.maxTopLogprobs }) });
export type Logprobs = z.infer<typeof logprobsSchema>;

/** {@link Logprobs} with the bytes of the tokens' texts: a client has no vocabulary. */
const textOfToken = { bytes: arraySchema(z.number().int().min(0).max(255), { most: 1024 }) };
export const describedLogprobsSchema = tokenLogprob.extend(textOfToken).extend({
  top: arraySchema(tokenLogprob.extend(textOfToken), { most: limits.maxTopLogprobs }),
});
export type DescribedLogprobs = z.infer<typeof describedLogprobsSchema>;

/**
 * A lead's message on a `generate` stream. One says that it has begun, then text follows as it is drawn, then exactly
 * one end or error; an error may also come first. A stream that stops without either was lost.
 */
export const generationEventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('text-delta'),
    /** Text, empty while bytes of a character or the start of a stop string are held back. */
    text: z.string(),
    tokens: arraySchema(z.number().int().nonnegative(), { most: limits.maxBatchTokens }),
    /** One per token, when they were asked for. */
    logprobs: arraySchema(describedLogprobsSchema, { most: limits.maxBatchTokens }).optional(),
    /** Mirostat's state after the last of the tokens; another lead resumes from it. */
    mu: z.number().optional(),
  }),
  z.object({
    type: z.literal('generation-end'),
    finishReason: finishReasonSchema,
    usage: usageSchema,
    timings: generationTimingsSchema,
  }),
  z.object({ type: z.literal('generation-error'), error: wireErrorSchema }),
  /**
   * The lead's report that it has checked and tokenized the request and taken it into its queue, with facts that only
   * the lead knows.
   */
  z.object({
    type: z.literal('generation-begin'),
    /** Tokens of the prompt, as the model's template and vocabulary make it. */
    promptTokens: tokenCount,
    /** SHA-256 of the ids of those tokens, four bytes each, little-endian: another lead resumes behind the same prompt only. */
    promptHash: sha256Schema,
    /** Most tokens that follow: the number asked for, or the lead's own choice where the request names none. */
    maxTokens: tokenCount,
  }),
  /**
   * The lead's report that it is to hand the answer over, to a request that hears of that. It goes on for so long; by then
   * the caller should have left it for another lead, which has read the text along.
   */
  z.object({ type: z.literal('generation-leaving'), forMs: milliseconds }),
]);
export type GenerationEvent = z.infer<typeof generationEventSchema>;

/** A lead's answer to a `read-along`. The end, or an error, is the last one; the others go to callers that hear of them. */
export const readAlongEventSchema = z.discriminatedUnion('type', [
  /** The lead's report that it begins to read. */
  z.object({
    type: z.literal('read-along-begin'),
    /** Tokens that were in the cache before. */
    cachedTokens: tokenCount,
  }),
  /** The lead's report, now and then, that it has read on: in this text, or in one that comes before it. */
  z.object({ type: z.literal('read-along-progress') }),
  z.object({
    type: z.literal('read-along-end'),
    /** Tokens that were in the cache before. */
    cachedTokens: tokenCount,
  }),
  z.object({ type: z.literal('generation-error'), error: wireErrorSchema }),
]);
export type ReadAlongEvent = z.infer<typeof readAlongEventSchema>;
