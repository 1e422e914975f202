import type { GenerationUpdate } from './generate.ts';

type GenerationEnd = Extract<GenerationUpdate, { type: 'generation-end' }>;

/** The times at which a reader gets an answer, which no lead knows of an answer that several have computed. */
export class AnswerTimes {
  readonly #now: () => number;
  readonly #askedAt: number;
  #firstAt: number | undefined;
  #lastAt: number;
  #isPaused = false;
  #failovers = 0;
  #pauseMs = 0;

  /** @param now returns the milliseconds of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
    this.#askedAt = now();
    this.#lastAt = this.#askedAt;
  }

  /** Notes that the replica was lost: what comes next is from another one. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Notes that something of the answer, or its end, has come. */
  came(): void {
    const at = this.#now();
    if (this.#isPaused) {
      this.#failovers += 1;
      this.#pauseMs += at - this.#lastAt;
    }
    this.#isPaused = false;
    this.#firstAt ??= at;
    this.#lastAt = at;
  }

  /**
   * Returns the end of the answer as its reader should know it. Where a replica was lost, the last lead's times and the
   * numbers of its cache and drafts are of a part of the answer: the times are the reader's then, and those numbers are
   * left out.
   */
  complete(end: GenerationEnd): GenerationEnd {
    if (this.#failovers === 0) return end;
    const { promptTokens, completionTokens } = end.usage;
    const firstAt = this.#firstAt ?? this.#lastAt;
    return {
      ...end,
      usage: { promptTokens, completionTokens, failovers: this.#failovers, pauseMs: this.#pauseMs },
      timings: { firstTokenMs: firstAt - this.#askedAt, decodeMs: this.#lastAt - firstAt },
    };
  }
}
