import type { Attempt } from '../routing/replicas.ts';
import type { Route } from '../routing/route.ts';
import type { ReadingAlong } from './reading-along.ts';

/**
 * Longest time without any reading at the replica, in milliseconds, after which the answer moves as it is: nothing is gained
 * by staying, and the machine that it leaves waits for it.
 */
const patienceMs = 60_000;

/** The replica to which an answer moves from a lead that leaves, while that still generates. Take it, or dispose of it. */
export class Successor implements Disposable {
  readonly #now: () => number;
  readonly #attempt: Promise<Attempt | undefined>;
  #turn: Disposable | undefined;
  #reading: ReadingAlong | undefined;
  #isOver = false;

  /**
   * @param taken the replica, once it is found; a failure to find one counts as none
   * @param options.readAt makes the reading along at a replica
   * @param options.now returns the milliseconds of a monotonic clock, that of the reading
   */
  constructor(
    taken: Promise<Attempt>,
    { readAt, now }: { readonly readAt: (route: Route) => ReadingAlong; readonly now: () => number },
  ) {
    this.#now = now;
    this.#attempt = taken.catch(() => undefined);
    void this.#attempt.then(async (attempt) => {
      if (attempt === undefined || this.#isOver) return;
      this.#turn = await attempt.readingTurn();
      if (this.#isOver) return this.#turn[Symbol.dispose]();
      this.#reading = readAt(attempt);
      this.#reading.readOn();
    });
  }

  /**
   * Reads on where there is something to gain by it, and tells whether there is not: the answer should move now. As long as
   * there is no replica, or others move there first, it should stay.
   */
  isReady(): boolean {
    const reading = this.#reading;
    if (reading === undefined) return false;
    if (reading.hasCaughtUp || this.#now() - reading.progressAtMs > patienceMs) return true;
    reading.readOn();
    return false;
  }

  /** Hands the replica over for the next attempt; waits for it where it is not found yet. Undefined where there is none. */
  async take(): Promise<Attempt | undefined> {
    this.#end();
    return await this.#attempt;
  }

  [Symbol.dispose](): void {
    this.#end();
    void this.#attempt.then((attempt) => attempt?.[Symbol.dispose]());
  }

  #end(): void {
    this.#isOver = true;
    this.#reading?.[Symbol.dispose]();
    this.#turn?.[Symbol.dispose]();
  }
}
