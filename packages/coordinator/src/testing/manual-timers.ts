import type { Schedule } from '../timers.ts';

/** Timers that fire when a test lets time pass. */
export class ManualTimers {
  readonly #waiting = new Set<{ readonly dueMs: number; readonly callback: () => void }>();
  #nowMs = 0;

  readonly schedule: Schedule = (delayMs, callback) => {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#waiting.add(timer);
    return { [Symbol.dispose]: () => void this.#waiting.delete(timer) };
  };

  /** Time that has passed, in milliseconds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Number of timers that are set. */
  get count(): number {
    return this.#waiting.size;
  }

  /** Lets time pass, and calls back, in their order, the timers due by then. */
  advance(milliseconds: number): void {
    const endMs = this.#nowMs + milliseconds;
    for (;;) {
      const [next] = [...this.#waiting]
        .filter(({ dueMs }) => dueMs <= endMs)
        .toSorted((one, other) => one.dueMs - other.dueMs);
      if (next === undefined) break;
      this.#nowMs = next.dueMs;
      this.#waiting.delete(next);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
