import { limits, samplingSchema, type Sampling } from '@skein/protocol';
import { z } from 'zod';

/** A parameter that may be left out or null. */
export function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** A parameter that does not change the answer: any value is accepted and ignored. */
export const ignored = z.unknown().optional();

/** A parameter that would change the answer but is not supported: accepted only where it asks for what happens anyway. */
export function unsupported(...neutralValues: readonly unknown[]) {
  const neutral = new Set(['null', ...neutralValues.map((value) => JSON.stringify(value))]);
  const hint =
    neutralValues.length === 0 ? 'leave it out' : `leave it out or set it to ${[...neutral].slice(1).join(' or ')}`;
  return z
    .custom<unknown>((value) => value === undefined || neutral.has(JSON.stringify(value)), {
      error: `not supported yet; ${hint}`,
    })
    .optional();
}

export const tokenLimit = optional(z.number().int().positive());

/** Parameters that chat and plain completions share. */
export const sharedParameters = {
  model: z.string().min(1).max(limits.maxNameLength),
  stream: optional(z.boolean()),
  stream_options: optional(z.strictObject({ include_usage: optional(z.boolean()), include_obfuscation: ignored })),
  temperature: optional(samplingSchema.shape.temperature.unwrap()),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(samplingSchema.shape.topK.unwrap()),
  min_p: optional(samplingSchema.shape.minP.unwrap()),
  seed: optional(z.number().refine(Number.isInteger, { error: 'expected an integer' })),
  stop: optional(
    z.union([stopString(), z.array(stopString()).max(limits.maxStopStrings)], {
      error: `expected a string or up to ${limits.maxStopStrings} strings of 1 to ${limits.maxStopLength} characters`,
    }),
  ),
  max_tokens: tokenLimit,
  n: unsupported(1),
  presence_penalty: unsupported(0),
  frequency_penalty: unsupported(0),
  logit_bias: unsupported({}),
  user: ignored,
} as const;

function stopString() {
  return z.string().min(1).max(limits.maxStopLength);
}

/** `stream_options` without `stream` is refused, as OpenAI does. */
export function streamOptionsNeedStream(body: { stream?: unknown; stream_options?: unknown }): boolean {
  return body.stream_options === undefined || body.stream === true;
}

/** The keys that {@link toSampling} reads. */
export interface SamplingParameters {
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly top_k?: number | undefined;
  readonly min_p?: number | undefined;
  readonly seed?: number | undefined;
}

/** Sampling as the engine takes it. What the request leaves out gets Skein's defaults; the seed, a random one. */
export function toSampling(parameters: SamplingParameters, randomSeed: () => number): Sampling {
  const { temperature, top_p: topP, top_k: topK, min_p: minP, seed } = parameters;
  return samplingSchema.parse({
    temperature,
    // OpenAI takes a share of 0, which the sampler does not: both mean the likeliest token alone.
    topP: topP === 0 ? 1 : topP,
    topK: topP === 0 ? 1 : topK,
    minP,
    seed: seed === undefined ? randomSeed() : Number(BigInt.asUintN(32, BigInt(seed))),
  });
}

/** Stop strings as a list. */
export function toStop(stop: string | readonly string[] | undefined): string[] {
  if (stop === undefined) return [];
  return typeof stop === 'string' ? [stop] : [...stop];
}
