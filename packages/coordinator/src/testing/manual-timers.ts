import type { Schedule } from '../timers.ts';

/** Timers that go off when a test says that time has passed. */
export class ManualTimers {
  readonly #waiting = new Set<{ readonly dueMs: number; readonly callback: () => void }>();
  #nowMs = 0;

  readonly schedule: Schedule = (delayMs, callback) => {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#waiting.add(timer);
    return { [Symbol.dispose]: () => void this.#waiting.delete(timer) };
  };

  /** How many timers are set. */
  get count(): number {
    return this.#waiting.size;
  }

  /** Lets time pass, and calls back in order what is due by then. */
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
