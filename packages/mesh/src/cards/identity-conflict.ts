const windowMs = 30_000;
const leastTimes = 3;

/**
 * The evidence of another daemon that uses our identity: cards of ours that we did not send. One now and then may be
 * our own, from before a restart when the clock was ahead. Times come in, in milliseconds.
 */
export class IdentityConflictWatch {
  #timesMs: number[] = [];

  /** Counts such a card. Returns true for the first one in a while. */
  note(nowMs: number): boolean {
    this.#timesMs = [...this.#recent(nowMs), nowMs].slice(-leastTimes);
    return this.#timesMs.length === 1;
  }

  /** Tells whether there is such a daemon. */
  sees(nowMs: number): boolean {
    return this.#recent(nowMs).length >= leastTimes;
  }

  #recent(nowMs: number): readonly number[] {
    return this.#timesMs.filter((timeMs) => nowMs - timeMs <= windowMs);
  }
}
