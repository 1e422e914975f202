import { routeKey, type Route } from './route.ts';

/**
 * The turns in which answers that move to one replica are read along there: one after the other, so that each moves as soon
 * as it has been read, and the next ones are not read again and again meanwhile. Each lead has turns of its own.
 */
export class ReadingTurns {
  /** The ends of the last turns, by lead. */
  readonly #ends = new Map<string, Promise<void>>();

  /** Resolves when all earlier turns at the lead have ended. Dispose of it to end it. */
  async take(route: Route): Promise<Disposable> {
    const key = routeKey(route);
    const before = this.#ends.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = Promise.all([before, promise]).then(() => {
      if (this.#ends.get(key) === end) this.#ends.delete(key);
    });
    this.#ends.set(key, end);
    await before;
    return { [Symbol.dispose]: resolve };
  }
}
