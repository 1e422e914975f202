import { maxFailovers, type Usage } from '@skein/protocol';

import type { GenerationUpdate } from './generate.ts';

type GenerationEnd = Extract<GenerationUpdate, { type: 'generation-end' }>;

/** The number of times that an answer went on at another replica, and the reader's wait because of that, in milliseconds. */
export interface Interruptions {
  readonly failovers: number;
  readonly pauseMs: number;
}

/** Adds up the interruptions of two parts of one answer. */
export function addInterruptions(one: Interruptions, other: Interruptions): Interruptions {
  return {
    failovers: Math.min(one.failovers + other.failovers, maxFailovers),
    pauseMs: one.pauseMs + other.pauseMs,
  };
}

/** Returns the usage of an answer of which an earlier part was interrupted, too. */
export function withInterruptions(usage: Usage, earlier: Interruptions): Usage {
  if (earlier.failovers === 0) return usage;
  const { failovers = 0, pauseMs = 0 } = usage;
  return { ...usage, ...addInterruptions(earlier, { failovers, pauseMs }) };
}

/** The times at which a reader gets an answer, which no lead knows of an answer that several have computed. */
export class AnswerTimes {
  readonly #now: () => number;
  readonly #askedAt: number;
  #firstAt: number | undefined;
  #lastAt: number;
  #isPaused = false;
  #interruptions: Interruptions = { failovers: 0, pauseMs: 0 };

  /** @param now returns the milliseconds of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
    this.#askedAt = now();
    this.#lastAt = this.#askedAt;
  }

  /** The interruptions so far. One that lasts counts once the answer goes on. */
  get interruptions(): Interruptions {
    return this.#interruptions;
  }

  /** Notes that the replica was lost: what comes next is from another one. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Notes that something of the answer, or its end, has come. */
  came(): void {
    const at = this.#now();
    if (this.#isPaused) {
      this.#interruptions = addInterruptions(this.#interruptions, { failovers: 1, pauseMs: at - this.#lastAt });
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
    if (this.#interruptions.failovers === 0) return end;
    const firstAt = this.#firstAt ?? this.#lastAt;
    return {
      ...end,
      usage: { ...end.usage, ...this.#interruptions },
      timings: { firstTokenMs: firstAt - this.#askedAt, decodeMs: this.#lastAt - firstAt },
    };
  }
}
