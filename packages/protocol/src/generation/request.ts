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

/** The latest time of a JavaScript `Date`, in milliseconds since 1970. */
export const latestTime = 8.64e15;

const penalty = z.number().min(-2).max(2);
const lastTokens = z.number().int().min(-1).max(limits.maxPromptTokens);

/**
 * Settings for drawing the next token. The draw depends on `seed`, the token's position and the text before it alone,
 * so it can be replayed.
 */
export const samplingSchema = z.object({
  /** Sharpness of the distribution; 0 always takes the likeliest token. */
  temperature: z.number().min(0).max(2).default(0.8),
  /** Keeps the likeliest tokens whose probabilities add up to this; 1 keeps all. */
  topP: z.number().gt(0).max(1).default(0.95),
  /** Keeps this many of the likeliest tokens; 0 keeps all. */
  topK: z.number().int().min(0).max(limits.maxVocabularySize).default(40),
  /** Drops tokens less likely than this share of the likeliest; 0 drops none. */
  minP: z.number().min(0).max(1).default(0.05),
  /**
   * Keeps the tokens whose information is nearest to the expected one until their probabilities add up to this.
   * Default: all.
   */
  typicalP: z.number().gt(0).max(1).optional(),
  /**
   * Excludes top choices: with this probability drops all tokens of at least `threshold` except the least likely of
   * them.
   */
  xtc: z.object({ probability: z.number().min(0).max(1), threshold: z.number().min(0).max(1).default(0.1) }).optional(),
  /** Makes tokens among the last `lastTokens` (-1: all) less likely: OpenAI's penalties and the repetition penalty. */
  penalties: z
    .object({
      lastTokens: lastTokens.default(64),
      /** Divides positive logits of tokens that occurred; 1 changes nothing. */
      repeat: z.number().min(0.1).max(10).default(1),
      /** Number subtracted once per occurrence of a token. */
      frequency: penalty.default(0),
      /** Number subtracted once from tokens that occurred. */
      presence: penalty.default(0),
    })
    .optional(),
  /**
   * "Don't repeat yourself": penalizes tokens that continue a repetition, by `multiplier * base ^ (length -
   * allowedLength)`.
   */
  dry: z
    .object({
      multiplier: z.number().gt(0).max(100),
      base: z.number().min(1).max(10).default(1.75),
      allowedLength: z.number().int().min(1).max(1024).default(2),
      lastTokens: lastTokens.default(-1),
      /** Texts that end a repetition. */
      breakers: arraySchema(z.string().min(1).max(64), { most: 16 }).default(['\n', ':', '"', '*']),
    })
    .optional(),
  /** Mirostat: holds the surprise of the text at `tau`, instead of the truncating samplers above. */
  mirostat: z
    .object({
      version: z.union([z.literal(1), z.literal(2)]),
      tau: z.number().gt(0).max(100).default(5),
      eta: z.number().gt(0).max(1).default(0.1),
    })
    .optional(),
  /** Biases added to the logits of single tokens; -100 and less bans a token. */
  logitBias: arraySchema(z.object({ token: tokenId, bias: z.number().min(-1e9).max(1e9) }), {
    most: limits.maxLogitBiases,
  }).optional(),
  /** A grammar in llama.cpp's GBNF: the text is one that its rule `root` derives. */
  grammar: z.string().min(1).max(limits.maxGrammarCharacters).optional(),
  /**
   * Number of the likeliest tokens to report at each place, with their log-probabilities and the drawn token's.
   * Default: no report.
   */
  logprobs: z.number().int().min(0).max(limits.maxTopLogprobs).optional(),
  /** Seed, an unsigned number of 32 bits. */
  seed: z.number().int().min(0).max(0xffff_ffff).default(0),
});
export type Sampling = z.infer<typeof samplingSchema>;

/**
 * The state of a generation that ended on another lead. The new lead continues behind its last token, and sends no text
 * that was passed on already. All other settings of the request have to be those of the first.
 */
export const resumeSchema = z.object({
  /** Hash of the prompt, from the other lead's `generation-begin`. */
  promptHash: sha256Schema,
  /** All tokens generated so far, in order. */
  tokens: arraySchema(tokenId, { most: limits.maxPromptTokens }),
  /** Length of the text that was passed on, in UTF-16 code units. */
  emittedCharacters: z.number().int().nonnegative(),
  /** Mirostat's state after the last token, from the `text-delta` with that token. Required if Mirostat drew it. */
  mu: z.number().optional(),
});
export type Resume = z.infer<typeof resumeSchema>;

/**
 * A request to the lead of a deployment for one generation. It is the first frame on a `generate` stream; its payload
 * is the packed prompt.
 */
export const generationRequestSchema = z.object({
  type: z.literal('generate'),
  request: requestIdSchema,
  deployment: deploymentIdSchema,
  prompt: promptTypeSchema,
  sampling: samplingSchema,
  /**
   * Most tokens to generate, cut to the room in the context. Default: an equal share of the context, context /
   * sequences - prompt, at least 256.
   */
  maxTokens: z.number().int().positive().optional(),
  /** Texts before whose first occurrence the generation ends. */
  stop: arraySchema(z.string().min(1).max(limits.maxStopLength), { most: limits.maxStopStrings }).default([]),
  /** A JSON schema, as JSON, that the text has to follow; the lead makes a grammar of it. Excludes `grammar`. */
  jsonSchema: z.string().min(1).max(limits.maxSchemaCharacters).optional(),
  /**
   * Whether to draft tokens from earlier text and verify several at a time. The text is the same either way. Default
   * true.
   */
  speculation: z.boolean().optional(),
  /**
   * Time of the request, in milliseconds since 1970: the present for chat templates, on every lead. Default: the lead's
   * present.
   */
  askedAt: z.number().int().nonnegative().max(latestTime).optional(),
  /** The point from which to continue. Default: the generation starts. */
  resume: resumeSchema.optional(),
  /**
   * Whether the caller can have another lead continue the answer: this one may end it with `handed-over`, before or behind
   * any token. Default false.
   */
  mayHandOver: z.boolean().optional(),
  /** Whether the caller, which then sets `mayHandOver`, too, understands `generation-leaving`. Default false. */
  hearsLeaving: z.boolean().optional(),
});
export type GenerationRequest = z.infer<typeof generationRequestSchema>;

/**
 * A request to the lead of a deployment to read a text into its cache, which another lead generates: a prompt, and the
 * tokens of the answer so far. A generation that goes on behind them starts from there. It begins when nobody waits, and
 * ends where others need the room. It is the first frame on a `read-along` stream; its payload is the packed prompt.
 */
export const readAlongRequestSchema = z.object({
  type: z.literal('read-along'),
  request: requestIdSchema,
  deployment: deploymentIdSchema,
  prompt: promptTypeSchema,
  /** As in the request that the other lead has. */
  askedAt: z.number().int().nonnegative().max(latestTime),
  /** Hash of the prompt, from the other lead's `generation-begin`. */
  promptHash: sha256Schema,
  /** All tokens generated so far, in order. */
  tokens: arraySchema(tokenId, { most: limits.maxPromptTokens }),
  /**
   * Whether the answer is about to go on at this lead, since the other one leaves: the text comes before those of which that
   * is not certain, and is read beside answers however long it is. Default false.
   */
  moves: z.boolean().optional(),
  /** Whether the caller understands `read-along-begin` and `read-along-progress`. Default false. */
  hearsProgress: z.boolean().optional(),
});
export type ReadAlongRequest = z.infer<typeof readAlongRequestSchema>;

/** A request to read along, without its id and its deployment, and with its prompt packed. */
export type ReadAlongInput = Omit<ReadAlongRequest, 'type' | 'request' | 'deployment' | 'prompt'> & {
  readonly prompt: PackedPrompt;
};

/** A request without its id and its deployment, which routing chooses, and with its prompt packed. */
export type GenerationInput = Omit<GenerationRequest, 'type' | 'request' | 'deployment' | 'prompt'> & {
  readonly prompt: PackedPrompt;
};
