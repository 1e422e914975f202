import type { DescribedLogprobs, FinishReason } from '@skein/protocol';
import type { GenerationUpdate, Route } from '@skein/serving';

export type GenerationEnd = Extract<GenerationUpdate, { type: 'generation-end' }>;

/** What an answer reports beside its text. `lead` and the timings are Skein's own. */
export interface Completion extends Route {
  readonly end: GenerationEnd;
}

/**
 * All choices of one request together: the prompt counts once, what was generated adds up. Deployment and lead are those of
 * the first.
 */
export function combine(completions: readonly Completion[]): Completion {
  return completions.reduce((all, one) => ({ ...all, end: combineEnds(all.end, one.end) }));
}

function combineEnds(all: GenerationEnd, one: GenerationEnd): GenerationEnd {
  return {
    ...all,
    usage: {
      ...all.usage,
      completionTokens: all.usage.completionTokens + one.usage.completionTokens,
      ...sumOf('draftedTokens', [all, one]),
      ...sumOf('acceptedTokens', [all, one]),
    },
    timings: { ...all.timings, decodeMs: Math.max(all.timings.decodeMs, one.timings.decodeMs) },
  };
}

/** The sum of a count that not every lead tells. */
function sumOf(
  key: 'draftedTokens' | 'acceptedTokens',
  ends: readonly GenerationEnd[],
): Partial<GenerationEnd['usage']> {
  const counts = ends.map(({ usage }) => usage[key]).filter((count) => count !== undefined);
  return counts.length === 0 ? {} : { [key]: counts.reduce((sum, count) => sum + count, 0) };
}

/** What all parts of one answer have in common. */
export interface AnswerIdentity {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** A piece of one choice, or all of it. */
export interface Piece {
  /** Which of the choices it belongs to, from 0. */
  readonly index: number;
  readonly text: string;
  /** As the endpoint's {@link LogprobsFormat} formatted them; null when they were not asked for. */
  readonly logprobs: object | null;
}

/** A piece that is all of its choice. */
export interface WholeChoice extends Piece {
  readonly finishReason: FinishReason;
}

/** Formats log-probabilities of one choice, as they come. May remember those before. */
export type LogprobsFormat = (described: readonly DescribedLogprobs[]) => object;

/** Format of one endpoint's generated text. The parts of a stream come in the order opening, delta..., ending, usage. */
export interface AnswerFormat {
  /** Starts the ids of this endpoint's answers. */
  readonly idPrefix: string;
  /** The answer in one piece. */
  whole(identity: AnswerIdentity, choices: readonly WholeChoice[], completion: Completion): object;
  /** First chunk of a streamed choice, where the endpoint has one without text. */
  opening(identity: AnswerIdentity, index: number): object | undefined;
  delta(identity: AnswerIdentity, piece: Piece): object;
  /** The chunk with a choice's finish reason and, under `skein`, who answered. */
  ending(identity: AnswerIdentity, index: number, completion: Completion): object;
  /** The chunk that follows when the client asked for usage. */
  usage(identity: AnswerIdentity, completion: Completion): object;
  /** For one choice. */
  logprobs(): LogprobsFormat;
}

export function usageOf({ end }: Completion): object {
  const { promptTokens, completionTokens, cachedTokens, draftedTokens, acceptedTokens } = end.usage;
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
  };
}

/** Not part of OpenAI's API: which deployment and lead answered, and the lead's timings in milliseconds. */
export function skeinOf({ deployment, lead, end }: Completion): object {
  return { deployment, lead, timings: end.timings };
}

export type TokenLogprob = Pick<DescribedLogprobs, 'bytes' | 'logprob'>;

/** A byte order mark is a character like others. */
export const utf8 = ['utf-8', { ignoreBOM: true }] as const;
const decoder = new TextDecoder(...utf8);

/** Returns a token's text: bytes that are part of a character become U+FFFD, as in OpenAI's answers. */
export function textOfToken({ bytes }: TokenLogprob): string {
  return decoder.decode(Uint8Array.from(bytes));
}
