import { arraySchema, latestTime, limits, samplingSchema, sha256Schema, tokensSchema } from '@skein/protocol';
import { z } from 'zod';

import { responseFormatSchema, type ResponseFormat } from './response-format.ts';
import { samplingConflict, type Conflict, type SamplingParameters } from './sampling.ts';

/** Most choices of one request. */
const maxChoices = 8;

/** Returns a schema of a parameter that may be left out or null. */
export function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** A parameter that does not change the answer: any value is accepted and ignored. */
export const ignored = z.unknown().optional();

/**
 * Returns a schema of a parameter that would change the answer but is not supported: it accepts only values that ask
 * for the usual behaviour.
 */
export function unsupported(...neutralValues: readonly unknown[]) {
  const names = neutralValues.map((value) => JSON.stringify(value));
  const hint = names.length === 0 ? 'leave it out' : `leave it out or set it to ${names.join(' or ')}`;
  const neutral = [undefined, null, ...neutralValues];
  return z
    .custom<unknown>((value) => neutral.some((other) => isSame(value, other)), { error: `not supported yet; ${hint}` })
    .optional();
}

/** Tells whether two values are equal, of which the second one holds no objects. The first may be of any size and shape. */
function isSame(value: unknown, other: unknown): boolean {
  if (!Array.isArray(other)) return value === other;
  return Array.isArray(value) && value.length === other.length && value.every((item, at) => isSame(item, other[at]));
}

/** Value with which the clients of llama.cpp ask for no limit on the tokens of an answer. */
export const noLimit = -1;

export const tokenLimit = optional(
  z
    .number()
    .int()
    .refine((count) => count >= 1 || count === noLimit, { error: 'expected at least 1, or -1 for no limit' }),
);

/** Tokens to look back at; -1 is all of them, 0 none. */
const lookBack = optional(z.number().int().min(-1).max(limits.maxPromptTokens));

const share = optional(z.number().min(0).max(1));
const penalty = optional(z.number().min(-2).max(2));
const repetitionPenalty = optional(z.number().min(0.1).max(10));

const tokenKey = z.string().refine((key) => /^\d{1,7}$/.test(key) && Number(key) < limits.maxVocabularySize, {
  error: 'expected token ids as keys',
});
/** Biases, whose number is checked first. Clients of llama.cpp send an empty array for none. */
const logitBias = z
  .unknown()
  .transform((biases) => (Array.isArray(biases) && biases.length === 0 ? {} : biases))
  .refine((biases) => !isObject(biases) || Object.keys(biases).length <= limits.maxLogitBiases, {
    error: `expected at most ${limits.maxLogitBiases} tokens`,
  })
  .pipe(z.record(tokenKey, z.number().min(-100).max(100)));

/**
 * Parameters of drawing tokens. Beside OpenAI's parameters, those of llama.cpp's server and of vLLM under the names
 * they have there. Values that change nothing in those programs (0, or 1 for shares and divisors) change nothing here.
 */
export const samplingParameters = {
  temperature: optional(samplingSchema.shape.temperature.unwrap()),
  top_p: share,
  top_k: optional(z.number().int().min(-1).max(limits.maxVocabularySize)),
  min_p: share,
  typical_p: share,
  xtc_probability: share,
  xtc_threshold: share,
  presence_penalty: penalty,
  frequency_penalty: penalty,
  repeat_penalty: repetitionPenalty,
  repetition_penalty: repetitionPenalty,
  repeat_last_n: lookBack,
  dry_multiplier: optional(z.number().min(0).max(100)),
  dry_base: optional(z.number().min(1).max(10)),
  dry_allowed_length: optional(z.number().int().min(1).max(1024)),
  dry_penalty_last_n: lookBack,
  dry_sequence_breakers: optional(arraySchema(z.string().min(1).max(64), { most: 16 })),
  mirostat: optional(z.union([z.literal(0), z.literal(1), z.literal(2)], { error: 'expected 0, 1 or 2' })),
  mirostat_tau: optional(z.number().gt(0).max(100)),
  mirostat_eta: optional(z.number().gt(0).max(1)),
  logit_bias: optional(logitBias),
  grammar: optional(z.string().max(limits.maxGrammarCharacters)),
  seed: optional(z.number().refine(Number.isInteger, { error: 'expected an integer' })),
} as const;

/**
 * The state of a streamed answer that another coordinator carried, as the chunks told it to a client that sent
 * `x-skein-state`.
 */
const resumeParameter = z.strictObject({
  promptHash: sha256Schema,
  askedAt: z.number().int().nonnegative().max(latestTime),
  /** All tokens of the answer so far. */
  tokens: tokensSchema,
  /** Length of its text so far, in UTF-16 code units. */
  emittedCharacters: z.number().int().nonnegative(),
  mu: optional(z.number()),
});
export type ResumeParameter = z.output<typeof resumeParameter>;

/** A stop string. An empty one stops nothing, as with llama.cpp's server. */
const stopString = z.string().max(limits.maxStopLength);

/** Parameters that chat and plain completions share. */
export const sharedParameters = {
  ...samplingParameters,
  model: z.string().min(1).max(limits.maxNameLength),
  stream: optional(z.boolean()),
  stream_options: optional(z.strictObject({ include_usage: optional(z.boolean()), include_obfuscation: ignored })),
  stop: optional(
    z.union([stopString, arraySchema(stopString, { most: limits.maxStopStrings })], {
      error: `expected a string or up to ${limits.maxStopStrings} strings of at most ${limits.maxStopLength} characters`,
    }),
  ),
  max_tokens: tokenLimit,
  n: optional(z.number().int().min(1).max(maxChoices)),
  response_format: optional(responseFormatSchema),
  speculation: optional(z.boolean()),
  skein_resume: optional(resumeParameter),
  user: ignored,
} as const;

/** Tells whether a value is an object, including an array. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

interface SharedBody extends SamplingParameters {
  readonly n?: number | undefined;
  readonly skein_resume?: ResumeParameter | undefined;
  readonly stream?: boolean | undefined;
  readonly stream_options?: unknown;
  readonly response_format?: ResponseFormat | undefined;
}

/** Refuses contradictory parameters: for Zod's `superRefine`. */
export function refuseConflicts(body: SharedBody, context: z.core.$RefinementCtx): void {
  const conflict = sharedConflict(body) ?? samplingConflict(body);
  if (conflict === undefined) return;
  context.addIssue({ code: 'custom', path: [conflict.parameter], message: conflict.reason });
}

function sharedConflict({
  stream,
  stream_options,
  grammar,
  response_format: format,
  n = 1,
  seed,
  skein_resume: resumed,
}: SharedBody): Conflict | undefined {
  if (resumed !== undefined && (n > 1 || stream !== true || seed === undefined)) {
    return { parameter: 'skein_resume', reason: "only allowed for a stream of one choice, with its 'seed'" };
  }
  if (stream_options !== undefined && stream !== true) {
    return { parameter: 'stream_options', reason: "only allowed when 'stream' is true" };
  }
  if ((grammar ?? '') !== '' && format !== undefined && format.type !== 'text') {
    return {
      parameter: 'grammar',
      reason: `a 'response_format' of ${format.type} has a grammar already; set one of the two`,
    };
  }
  return undefined;
}
