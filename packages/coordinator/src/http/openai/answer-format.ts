import type { DescribedLogprobs, FinishReason } from '@skein/protocol';

import type { Completion } from './completion.ts';

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
  /** As the endpoint's {@link LogprobsFormat} dressed them; null when they were not asked for. */
  readonly logprobs: object | null;
}

/** A piece that is all of its choice. */
export interface WholeChoice extends Piece {
  readonly finishReason: FinishReason;
}

/** Dresses log-probabilities of one choice, as they come. May remember what came before. */
export type LogprobsFormat = (described: readonly DescribedLogprobs[]) => object;

/** How one endpoint dresses generated text. The parts of a stream come in the order opening, delta..., ending, usage. */
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
