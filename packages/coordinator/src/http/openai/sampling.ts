import { samplingSchema, type Sampling } from '@skein/protocol';
import type { z } from 'zod';

import type { samplingParameters } from './parameters.ts';

/** The parameters of a request for drawing tokens, checked one by one. */
export type SamplingParameters = {
  readonly [Name in keyof typeof samplingParameters]?: z.output<(typeof samplingParameters)[Name]> | undefined;
};

export interface SamplingOptions {
  readonly randomSeed: () => number;
  /** Number of the likeliest tokens to report beside each; undefined for no log-probabilities. */
  readonly logprobs: number | undefined;
}

/**
 * Turns parameters into sampling settings of the engine. Parameters that are left out get Skein's defaults, and the
 * seed a random one.
 */
export function toSampling(parameters: SamplingParameters, { randomSeed, logprobs }: SamplingOptions): Sampling {
  const { temperature, top_p: topP, top_k: topK, min_p: minP, typical_p: typicalP, seed, grammar = '' } = parameters;
  return samplingSchema.parse({
    temperature,
    // OpenAI takes a share of 0, which the sampler does not: both mean the likeliest token alone.
    topP: topP === 0 ? 1 : topP,
    topK: topP === 0 ? 1 : topK === -1 ? 0 : topK,
    minP,
    ...(isSet(typicalP, 0, 1) && { typicalP }),
    ...xtcOf(parameters),
    ...penaltiesOf(parameters),
    ...dryOf(parameters),
    ...mirostatOf(parameters),
    ...logitBiasOf(parameters),
    ...(grammar !== '' && { grammar }),
    ...(logprobs !== undefined && { logprobs }),
    seed: toSeed(seed) ?? randomSeed(),
  });
}

/** The value for a random seed in llama.cpp, `LLAMA_DEFAULT_SEED`. Its clients write it as -1. */
const anySeed = 0xffff_ffff;

/** Returns a seed as the engine takes it; undefined for one that is left out, or asks for a random one. */
function toSeed(seed: number | undefined): number | undefined {
  if (seed === undefined) return undefined;
  const folded = Number(BigInt.asUintN(32, BigInt(seed)));
  return folded === anySeed ? undefined : folded;
}

/** Tells whether a number is given and is none of those that change nothing. */
function isSet(value: number | undefined, ...neutral: readonly number[]): value is number {
  return value !== undefined && !neutral.includes(value);
}

function xtcOf({ xtc_probability: probability, xtc_threshold: threshold }: SamplingParameters) {
  return isSet(probability, 0) ? { xtc: { probability, threshold } } : {};
}

function penaltiesOf(parameters: SamplingParameters) {
  const { presence_penalty: presence, frequency_penalty: frequency, repeat_last_n: lastTokens } = parameters;
  const repeat = parameters.repeat_penalty ?? parameters.repetition_penalty;
  const isAsked = isSet(presence, 0) || isSet(frequency, 0) || isSet(repeat, 1);
  return isAsked && lastTokens !== 0 ? { penalties: { lastTokens, repeat, frequency, presence } } : {};
}

function dryOf(parameters: SamplingParameters) {
  const { dry_multiplier: multiplier, dry_penalty_last_n: lastTokens } = parameters;
  if (!isSet(multiplier, 0) || lastTokens === 0) return {};
  const { dry_base: base, dry_allowed_length: allowedLength, dry_sequence_breakers: breakers } = parameters;
  return { dry: { multiplier, base, allowedLength, lastTokens, breakers } };
}

function mirostatOf({ mirostat: version, mirostat_tau: tau, mirostat_eta: eta }: SamplingParameters) {
  return isSet(version, 0) ? { mirostat: { version, tau, eta } } : {};
}

function logitBiasOf({ logit_bias: biases }: SamplingParameters) {
  const logitBias = Object.entries(biases ?? {}).map(([token, bias]) => ({ token: Number(token), bias }));
  return logitBias.length > 0 ? { logitBias } : {};
}

/** A parameter that contradicts another one, with the reason. */
export interface Conflict {
  readonly parameter: string;
  readonly reason: string;
}

/** Finds the first pair of sampling parameters that contradict each other; undefined when none do. */
export function samplingConflict(parameters: SamplingParameters): Conflict | undefined {
  const { repeat_penalty: repeat, repetition_penalty: repetition, mirostat } = parameters;
  if (repeat !== undefined && repetition !== undefined && repeat !== repetition) {
    return { parameter: 'repetition_penalty', reason: "it is another name of 'repeat_penalty'; set one of the two" };
  }
  if (!isSet(mirostat, 0)) return undefined;
  if (parameters.temperature === 0) {
    return {
      parameter: 'mirostat',
      reason: "a 'temperature' of 0 takes the likeliest token always; set one of the two",
    };
  }
  const others = {
    top_p: isSet(parameters.top_p, 1),
    top_k: isSet(parameters.top_k, 0, -1),
    min_p: isSet(parameters.min_p, 0),
    typical_p: isSet(parameters.typical_p, 0, 1),
    xtc_probability: isSet(parameters.xtc_probability, 0),
  };
  const other = Object.entries(others).find(([, isThere]) => isThere)?.[0];
  if (other === undefined) return undefined;
  return { parameter: 'mirostat', reason: `it takes the place of '${other}'; set one of the two` };
}
