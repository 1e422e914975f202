interface Watched {
  deadAfterMs: number;
  /** Bytes received by the last check. */
  receivedBytes: number;
  silentMs: number;
}

/** A member that has been silent for too long. */
export interface Verdict {
  readonly peerId: string;
  /** Time for which nothing has come, in milliseconds. */
  readonly silentMs: number;
}

// Checks that are later than this tell of ourselves, not of others.
const stallMs = 500;

/**
 * The judgement by silence which members are dead. Any byte is life. Silence counts only while we are awake ourselves:
 * after a stall of our own everyone gets a fresh period. Keeps no clock and does no I/O: times and counts come in.
 */
export class FailureDetector {
  readonly #watched = new Map<string, Watched>();
  #checkedAtMs: number;

  constructor(nowMs: number) {
    this.#checkedAtMs = nowMs;
  }

  /** Judges a member from now on, or by another measure than before. */
  watch(peerId: string, deadAfterMs: number): void {
    const watched = this.#watched.get(peerId);
    if (watched === undefined) this.#watched.set(peerId, { deadAfterMs, receivedBytes: -1, silentMs: 0 });
    else watched.deadAfterMs = deadAfterMs;
  }

  /** Judges a member from now on, unless it is judged already. */
  expect(peerId: string, deadAfterMs: number): void {
    if (!this.#watched.has(peerId)) this.watch(peerId, deadAfterMs);
  }

  forget(peerId: string): void {
    this.#watched.delete(peerId);
  }

  /**
   * Checks all members, and returns and forgets the dead ones. Call it several times in each period, and when
   * everything that had arrived by `nowMs` has been counted.
   *
   * @param nowMs time of a clock that does not jump
   * @param receivedBytes returns the bytes that have come from a member so far
   */
  check(nowMs: number, receivedBytes: (peerId: string) => number): Verdict[] {
    const elapsedMs = nowMs - this.#checkedAtMs;
    this.#checkedAtMs = nowMs;
    const dead: Verdict[] = [];
    for (const [peerId, watched] of this.#watched) {
      const bytes = receivedBytes(peerId);
      watched.silentMs = bytes === watched.receivedBytes && elapsedMs <= stallMs ? watched.silentMs + elapsedMs : 0;
      watched.receivedBytes = bytes;
      if (watched.silentMs <= watched.deadAfterMs) continue;
      this.#watched.delete(peerId);
      dead.push({ peerId, silentMs: watched.silentMs });
    }
    return dead;
  }
}
