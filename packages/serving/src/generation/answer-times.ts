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
   * Returns the end of the answer as its reader should know it: where a replica was lost, with the reader's own times, and
   * with how often and how long that held it up. The numbers of cache and drafts stay those of the last lead.
   */
  complete(end: GenerationEnd): GenerationEnd {
    if (this.#failovers === 0) return end;
    const firstAt = this.#firstAt ?? this.#lastAt;
    return {
      ...end,
      usage: { ...end.usage, failovers: this.#failovers, pauseMs: this.#pauseMs },
      timings: { firstTokenMs: firstAt - this.#askedAt, decodeMs: this.#lastAt - firstAt },
    };
  }
}
