import { z } from 'zod';

import { deploymentIdSchema } from '../ids.ts';
import { limits } from '../limits.ts';

/** One turn of a conversation. Which roles mean something is up to the model's chat template. */
export const chatMessageSchema = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.string().max(limits.maxPromptCharacters),
  name: z.string().max(limits.maxNameLength).optional(),
});
export type ChatMessage = z.infer<typeof chatMessageSchema>;

/**
 * Token ids. One check of our own that stops at the first bad one: a schema per element would collect an error for each of
 * the millions that fit into a frame.
 */
export const tokensSchema = z.custom<readonly number[]>(isTokenList, {
  error: `must be 1 to ${limits.maxPromptTokens} token ids`,
});

function isTokenList(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > limits.maxPromptTokens) return false;
  return value.every((token) => Number.isInteger(token) && token >= 0 && token < limits.maxVocabularySize);
}

/** What to continue: a conversation, rendered through the model's chat template; raw text; or raw token ids. */
export const promptSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('chat'), messages: z.array(chatMessageSchema).min(1).max(limits.maxMessages) }),
  z.object({ type: z.literal('text'), text: z.string().max(limits.maxPromptCharacters) }),
  z.object({ type: z.literal('tokens'), tokens: tokensSchema }),
]);
export type Prompt = z.infer<typeof promptSchema>;

/** How the next token is drawn. The draw depends on `seed` and the token's position alone, so it can be replayed. */
export const samplingSchema = z.object({
  /** 0 takes the likeliest token always. */
  temperature: z.number().min(0).max(2).default(0.8),
  /** Keep the likeliest tokens whose probabilities add up to this; 1 keeps all. */
  topP: z.number().gt(0).max(1).default(0.95),
  /** Keep this many of the likeliest tokens; 0 keeps all. */
  topK: z.number().int().min(0).max(limits.maxVocabularySize).default(40),
  /** Drop tokens less likely than this share of the likeliest; 0 drops none. */
  minP: z.number().min(0).max(1).default(0.05),
  /** Unsigned 32 bit. */
  seed: z.number().int().min(0).max(0xffff_ffff).default(0),
});
export type Sampling = z.infer<typeof samplingSchema>;

/** Asks the lead of a deployment for one generation. First frame on a `generate` stream. */
export const generationRequestSchema = z.object({
  type: z.literal('generate'),
  deployment: deploymentIdSchema,
  prompt: promptSchema,
  sampling: samplingSchema,
  /** Most tokens to generate; left out, an equal share of the context: context / sequences - prompt, at least 256. */
  maxTokens: z.number().int().positive().optional(),
  /** Generation ends before the first of these would appear in the text. */
  stop: z.array(z.string().min(1).max(limits.maxStopLength)).max(limits.maxStopStrings).default([]),
});
export type GenerationRequest = z.infer<typeof generationRequestSchema>;
