const windowMs = 30_000;
const leastTimes = 3;

/**
 * Notices that another daemon uses our identity: cards of ours come that we did not send. One now and then may be our own,
 * from before a restart when the clock was ahead. Times come in, in milliseconds.
 */
export class IdentityConflictWatch {
  #timesMs: number[] = [];

  /** Counts such a card. True for the first one in a while. */
  note(nowMs: number): boolean {
    this.#timesMs = [...this.#recent(nowMs), nowMs].slice(-leastTimes);
    return this.#timesMs.length === 1;
  }

  /** Whether there is such a daemon. */
  sees(nowMs: number): boolean {
    return this.#recent(nowMs).length >= leastTimes;
  }

  #recent(nowMs: number): readonly number[] {
    return this.#timesMs.filter((timeMs) => nowMs - timeMs <= windowMs);
  }
}
