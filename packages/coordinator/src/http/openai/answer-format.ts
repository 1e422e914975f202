import type { Completion } from './generation-text.ts';

/** What all parts of one answer have in common. */
export interface AnswerIdentity {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** How one endpoint dresses generated text. The parts of a stream come in the order opening, delta..., ending, usage. */
export interface AnswerFormat {
  /** Starts the ids of this endpoint's answers. */
  readonly idPrefix: string;
  /** The answer in one piece. */
  whole(identity: AnswerIdentity, text: string, completion: Completion): object;
  /** First chunk of a stream, where the endpoint has one without text. */
  opening(identity: AnswerIdentity): object | undefined;
  delta(identity: AnswerIdentity, text: string): object;
  /** The chunk with the finish reason and, under `skein`, who answered. */
  ending(identity: AnswerIdentity, completion: Completion): object;
  /** The chunk that follows when the client asked for usage. */
  usage(identity: AnswerIdentity, completion: Completion): object;
}

export function usageOf({ end }: Completion): object {
  const { promptTokens, completionTokens } = end.usage;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

/** Not part of OpenAI's API: which deployment and lead answered, and the lead's timings in milliseconds. */
export function skeinOf({ deployment, lead, end }: Completion): object {
  return { deployment, lead, timings: end.timings };
}
