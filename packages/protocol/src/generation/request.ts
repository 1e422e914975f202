import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { deploymentIdSchema, requestIdSchema, sha256Schema } from '../ids.ts';
import { limits } from '../limits.ts';
import { promptTypeSchema, type PackedPrompt } from './packed-prompt.ts';

const tokenId = z
  .number()
  .int()
  .nonnegative()
  .max(limits.maxVocabularySize - 1);

const penalty = z.number().min(-2).max(2);
const lastTokens = z.number().int().min(-1).max(limits.maxPromptTokens);

/** How the next token is drawn. The draw depends on `seed`, the token's position and what came before it alone, so it can be replayed. */
export const samplingSchema = z.object({
  /** 0 takes the likeliest token always. */
  temperature: z.number().min(0).max(2).default(0.8),
  /** Keep the likeliest tokens whose probabilities add up to this; 1 keeps all. */
  topP: z.number().gt(0).max(1).default(0.95),
  /** Keep this many of the likeliest tokens; 0 keeps all. */
  topK: z.number().int().min(0).max(limits.maxVocabularySize).default(40),
  /** Drop tokens less likely than this share of the likeliest; 0 drops none. */
  minP: z.number().min(0).max(1).default(0.05),
  /** Keep tokens whose information is nearest to the expected one until their probabilities add up to this; left out, all. */
  typicalP: z.number().gt(0).max(1).optional(),
  /** Exclude top choices: with this probability drop all tokens of at least `threshold` but the least likely of them. */
  xtc: z.object({ probability: z.number().min(0).max(1), threshold: z.number().min(0).max(1).default(0.1) }).optional(),
  /** Make tokens of the last `lastTokens` (-1: all) less likely: OpenAI's penalties and the repetition penalty. */
  penalties: z
    .object({
      lastTokens: lastTokens.default(64),
      /** Divides positive logits of tokens that were there; 1 changes nothing. */
      repeat: z.number().min(0.1).max(10).default(1),
      /** Subtracted for each time that a token was there. */
      frequency: penalty.default(0),
      /** Subtracted once from tokens that were there. */
      presence: penalty.default(0),
    })
    .optional(),
  /** "Don't repeat yourself": penalizes tokens that would go on with a repetition, by `multiplier * base ^ (length - allowedLength)`. */
  dry: z
    .object({
      multiplier: z.number().gt(0).max(100),
      base: z.number().min(1).max(10).default(1.75),
      allowedLength: z.number().int().min(1).max(1024).default(2),
      lastTokens: lastTokens.default(-1),
      /** Texts that a repetition does not reach across. */
      breakers: arraySchema(z.string().min(1).max(64), { most: 16 }).default(['\n', ':', '"', '*']),
    })
    .optional(),
  /** Mirostat holds the surprise of the text at `tau`, instead of the truncating samplers above. */
  mirostat: z
    .object({
      version: z.union([z.literal(1), z.literal(2)]),
      tau: z.number().gt(0).max(100).default(5),
      eta: z.number().gt(0).max(1).default(0.1),
    })
    .optional(),
  /** Added to the logits of single tokens; -100 and less bans a token. */
  logitBias: arraySchema(z.object({ token: tokenId, bias: z.number().min(-1e9).max(1e9) }), {
    most: limits.maxLogitBiases,
  }).optional(),
  /** A grammar in llama.cpp's GBNF: only texts that it derives from its rule `root` are generated. */
  grammar: z.string().min(1).max(limits.maxGrammarCharacters).optional(),
  /** Report the log-probability of each token and of this many of the likeliest instead of it; left out, of none. */
  logprobs: z.number().int().min(0).max(limits.maxTopLogprobs).optional(),
  /** Unsigned 32 bit. */
  seed: z.number().int().min(0).max(0xffff_ffff).default(0),
});
export type Sampling = z.infer<typeof samplingSchema>;

/**
 * What a generation had come to on another lead. The new lead continues behind its last token, and sends no text again that was
 * passed on. How tokens are drawn, the limit and the stop strings are those of the request, which has to be the same as it was.
 */
export const resumeSchema = z.object({
  /** As the `generation-begin` of the other lead had it. */
  promptHash: sha256Schema,
  /** All tokens that were generated, in order. */
  tokens: arraySchema(tokenId, { most: limits.maxPromptTokens }),
  /** Length of the text that was passed on, in UTF-16 code units. */
  emittedCharacters: z.number().int().nonnegative(),
  /** Mirostat's state after the last token, as the `text-delta` with that token said. Needed behind a token of Mirostat's. */
  mu: z.number().optional(),
});
export type Resume = z.infer<typeof resumeSchema>;

/** Asks the lead of a deployment for one generation. First frame on a `generate` stream; its payload is the packed prompt. */
export const generationRequestSchema = z.object({
  type: z.literal('generate'),
  request: requestIdSchema,
  deployment: deploymentIdSchema,
  prompt: promptTypeSchema,
  sampling: samplingSchema,
  /** Most tokens to generate, cut to what the context leaves; left out, an equal share of the context: context / sequences - prompt, at least 256. */
  maxTokens: z.number().int().positive().optional(),
  /** Generation ends before the first of these would appear in the text. */
  stop: arraySchema(z.string().min(1).max(limits.maxStopLength), { most: limits.maxStopStrings }).default([]),
  /** A JSON schema, as JSON, that the text is to follow; the lead makes a grammar of it. Not together with a grammar. */
  jsonSchema: z.string().min(1).max(limits.maxSchemaCharacters).optional(),
  /** False: don't draft tokens from what was said before, to verify several at a time. The text is the same either way. */
  speculation: z.boolean().optional(),
  /** Where the generation continues; left out, it starts. */
  resume: resumeSchema.optional(),
});
export type GenerationRequest = z.infer<typeof generationRequestSchema>;

/** What is asked for: a request without its id and its deployment, which routing chooses, and with its prompt packed. */
export type GenerationInput = Omit<GenerationRequest, 'type' | 'request' | 'deployment' | 'prompt'> & {
  readonly prompt: PackedPrompt;
};
