import type { AnswerEvent, DescribedLogprobs, FinishReason } from '@skein/protocol';
import type { Route } from '@skein/serving';

import type { AnswerReceipt } from '../generation-port.ts';

type Finish = Extract<AnswerEvent, { type: 'finish' }>;

/** The report of an answer beside its text. `lead` and the timings are Skein's own. */
export interface Completion extends Route {
  readonly end: Finish;
  /** The machines that have seen its request so far. Default: unknown. */
  readonly receipt?: AnswerReceipt | undefined;
}

/**
 * Combines all choices of one request: the prompt counts once, generated tokens add up. Deployment and lead are those
 * of the first.
 */
export function combine(completions: readonly Completion[]): Completion {
  return completions.reduce((all, one) => ({ ...all, end: combineFinishes(all.end, one.end) }));
}

function combineFinishes(all: Finish, one: Finish): Finish {
  return {
    ...all,
    usage: {
      ...all.usage,
      completionTokens: all.usage.completionTokens + one.usage.completionTokens,
      ...sumOf('draftedTokens', [all, one]),
      ...sumOf('acceptedTokens', [all, one]),
      ...sumOf('failovers', [all, one]),
      ...mostOf('pauseMs', [all, one]),
    },
    timings: { ...all.timings, decodeMs: Math.max(all.timings.decodeMs, one.timings.decodeMs) },
  };
}

type OptionalCount = 'draftedTokens' | 'acceptedTokens' | 'failovers' | 'pauseMs';

/** Adds up a count that some answers lack. */
function sumOf(key: OptionalCount, ends: readonly Finish[]): Partial<Finish['usage']> {
  const counts = countsOf(key, ends);
  return counts.length === 0 ? {} : { [key]: counts.reduce((sum, count) => sum + count, 0) };
}

/** Returns the greatest of a count that some answers lack. */
function mostOf(key: OptionalCount, ends: readonly Finish[]): Partial<Finish['usage']> {
  const counts = countsOf(key, ends);
  return counts.length === 0 ? {} : { [key]: Math.max(...counts) };
}

function countsOf(key: OptionalCount, ends: readonly Finish[]): readonly number[] {
  return ends.map(({ usage }) => usage[key]).filter((count) => count !== undefined);
}

/** The fields that all parts of one answer have in common. */
export interface AnswerIdentity {
  readonly id: string;
  /** Time of the answer, in seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** A piece of one choice, or all of it. */
export interface Piece {
  /** Number of the choice that it belongs to, from 0. */
  readonly index: number;
  readonly text: string;
  /** Log-probabilities, formatted by the endpoint's {@link LogprobsFormat}; null when they were not asked for. */
  readonly logprobs: object | null;
}

/** A piece that is all of its choice. */
export interface WholeChoice extends Piece {
  readonly finishReason: FinishReason;
}

/** A formatter of one choice's log-probabilities, as they come. It may remember earlier ones. */
export type LogprobsFormat = (described: readonly DescribedLogprobs[]) => object;

/** An endpoint's format of generated text. The parts of a stream come in the order opening, delta..., ending, usage. */
export interface AnswerFormat {
  /** Prefix of the ids of this endpoint's answers. */
  readonly idPrefix: string;
  /** Makes the answer in one piece. */
  whole(identity: AnswerIdentity, choices: readonly WholeChoice[], completion: Completion): object;
  /** Makes the first chunk of a streamed choice, where the endpoint has one without text. */
  opening(identity: AnswerIdentity, index: number): object | undefined;
  delta(identity: AnswerIdentity, piece: Piece): object;
  /** Makes the chunk with a choice's finish reason and, under `skein`, the lead that answered. */
  ending(identity: AnswerIdentity, index: number, completion: Completion): object;
  /** Makes the chunk that follows when the client asked for usage. */
  usage(identity: AnswerIdentity, completion: Completion): object;
  /** Makes the formatter of one choice's log-probabilities. */
  logprobs(): LogprobsFormat;
}

/**
 * Returns the usage of an answer in OpenAI's format. `failovers` and `pauseMs` are Skein's own, and there where a replica
 * was lost: of several choices the sum and the longest.
 */
export function usageOf({ end }: Completion): object {
  const { promptTokens, completionTokens, cachedTokens, draftedTokens, acceptedTokens, failovers, pauseMs } = end.usage;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(cachedTokens !== undefined && { prompt_tokens_details: { cached_tokens: cachedTokens } }),
    ...(draftedTokens !== undefined && {
      completion_tokens_details: {
        accepted_prediction_tokens: acceptedTokens ?? 0,
        rejected_prediction_tokens: draftedTokens - (acceptedTokens ?? 0),
      },
    }),
    ...(failovers !== undefined && { failovers, pauseMs }),
  };
}

/**
 * Returns the facts that are not part of OpenAI's API: the deployment and lead that answered, and the lead's timings in
 * milliseconds; and for a request with labels the machines that may have computed a part of it or have read it along, with
 * theirs.
 */
export function skeinOf({ deployment, lead, receipt, end }: Completion): object {
  const { machines = [], readAlong = [] } = receipt ?? {};
  return {
    deployment,
    lead,
    ...(machines.length > 0 && { machines }),
    ...(readAlong.length > 0 && { readAlong }),
    timings: end.timings,
  };
}

export type TokenLogprob = Pick<DescribedLogprobs, 'bytes' | 'logprob'>;

/** Arguments of a decoder for which a byte order mark is a character like others. */
export const utf8 = ['utf-8', { ignoreBOM: true }] as const;
const decoder = new TextDecoder(...utf8);

/** Returns a token's text: bytes that are part of a character become U+FFFD, as in OpenAI's answers. */
export function textOfToken({ bytes }: TokenLogprob): string {
  return decoder.decode(Uint8Array.from(bytes));
}
