import type { Attempt } from '../routing/replicas.ts';
import type { Route } from '../routing/route.ts';
import type { ReadingAlong } from './reading-along.ts';

/** The replica to which an answer moves from a lead that leaves, while that still generates. Take it, or dispose of it. */
export class Successor implements Disposable {
  readonly #attempt: Promise<Attempt | undefined>;
  #reading: ReadingAlong | undefined;
  #isOver = false;

  /**
   * @param taken the replica, once it is found; a failure to find one counts as none
   * @param readAt makes the reading along at a replica
   */
  constructor(taken: Promise<Attempt>, readAt: (route: Route) => ReadingAlong) {
    this.#attempt = taken.catch(() => undefined);
    void this.#attempt.then((attempt) => {
      if (attempt === undefined || this.#isOver) return;
      this.#reading = readAt(attempt);
      this.#reading.readOn();
    });
  }

  /** Reads on where there is something to gain by it, and tells whether there is not: the answer should move now. */
  isReady(): boolean {
    if (this.#reading?.hasCaughtUp === true) return true;
    this.#reading?.readOn();
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
  }
}
