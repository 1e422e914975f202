import { z } from 'zod';

/** The facts of an answer's beginning with which another coordinator has it continued. */
export const answerStartSchema = z.object({
  promptHash: z.string(),
  maxTokens: z.number().int().nonnegative(),
  askedAt: z.number(),
  seed: z.number(),
});
export type AnswerStart = z.output<typeof answerStartSchema>;

/** The number of times that an answer went on at another replica, and the reader's wait because of that, in milliseconds. */
export interface Interruptions {
  readonly failovers: number;
  readonly pauseMs: number;
}

/** Adds up the interruptions that two coordinators have counted of one answer. */
export function addInterruptions(one: Interruptions, other: Interruptions): Interruptions {
  return { failovers: one.failovers + other.failovers, pauseMs: one.pauseMs + other.pauseMs };
}

/** The part of an answer that has come, from which any coordinator has it continued. */
export class AnswerState {
  readonly #tokens: number[] = [];
  #start: AnswerStart | undefined;
  #characters = 0;
  #mu: number | undefined;
  /** Whether a server sent text without the tokens behind it, as those do that are not Skein. */
  #isOpaque = false;
  /** The interruptions that coordinators have told of. */
  interruptions: Interruptions = { failovers: 0, pauseMs: 0 };

  /** Number of tokens that have come. */
  get tokens(): number {
    return this.#tokens.length;
  }

  begin(start: AnswerStart): void {
    this.#start = start;
  }

  add(text: string, tokens: readonly number[] | undefined, mu: number | undefined): void {
    if (tokens === undefined && text !== '') this.#isOpaque = true;
    this.#tokens.push(...(tokens ?? []));
    this.#characters += text.length;
    this.#mu = mu ?? this.#mu;
  }

  /**
   * Returns the fields of a request for the rest: none while nothing has come. Undefined when the rest can't be had
   * without a repetition.
   */
  get rest(): object | undefined {
    if (this.#isOpaque) return undefined;
    if (this.#tokens.length === 0) return this.#characters === 0 ? {} : undefined;
    if (this.#start === undefined) return undefined;
    const { promptHash, maxTokens, askedAt, seed } = this.#start;
    const progress = { tokens: [...this.#tokens], emittedCharacters: this.#characters, mu: this.#mu };
    return { max_tokens: maxTokens, seed, skein_resume: { promptHash, askedAt, ...progress } };
  }
}
