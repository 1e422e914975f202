import type { Logger } from './logger.ts';

/** A callback that is told of something. One that is asynchronous is not waited for. */
export type Observer<Values extends readonly unknown[]> = (...values: Values) => unknown;

/** Takes what observers throw. Must not throw itself. */
export type ObserverErrorSink = (error: unknown) => void;

/** Returns a sink that logs as an error that an observer of `subject` failed: it is a fault of the program. */
export function toLog(logger: Pick<Logger, 'error'>, subject: string): ObserverErrorSink {
  return (error) => logger.error({ error }, `an observer of ${subject} failed`);
}

/**
 * Returns a callback that calls `observer` and never throws: what the observer throws, at once or by a promise, goes to
 * `onError`; of failures in a row the first one alone. Wrap every callback that is called for its information alone, so that
 * no fault in it ends what it watches.
 */
export function isolated<Values extends readonly unknown[]>(
  observer: Observer<Values>,
  onError: ObserverErrorSink,
): (...values: Values) => void {
  let isFailing = false;
  const succeed = (): void => void (isFailing = false);
  const fail = (error: unknown): void => {
    if (!isFailing) onError(error);
    isFailing = true;
  };
  return (...values) => {
    try {
      const outcome = observer(...values);
      if (outcome instanceof Promise) outcome.then(succeed, fail);
      else succeed();
    } catch (error) {
      fail(error);
    }
  };
}

/** A set of observers of one thing. Each is told whatever the others throw, and nothing reaches the one who tells. */
export class Observers<Values extends readonly unknown[] = []> {
  readonly #observers = new Set<(...values: Values) => void>();

  /** Adds an observer, also one that is there already. Returns a function that removes it again. */
  add(observer: Observer<Values>, onError: ObserverErrorSink): () => void {
    const added = isolated(observer, onError);
    this.#observers.add(added);
    return () => void this.#observers.delete(added);
  }

  /** Tells the observers that are there now, in the order in which they were added. Never throws. */
  notify(...values: Values): void {
    // A copy: a set that grows while it is walked through has no end.
    const present = [...this.#observers];
    for (const observer of present) if (this.#observers.has(observer)) observer(...values);
  }

  /** Removes all. */
  clear(): void {
    this.#observers.clear();
  }
}
