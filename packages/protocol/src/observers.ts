import type { Logger } from './logger.ts';

/** A callback that is informed of something. A returned promise is not waited for. */
export type Observer<Values extends readonly unknown[]> = (...values: Values) => unknown;

/** A receiver of the errors that observers throw. It must not throw itself. */
export type ObserverErrorSink = (error: unknown) => void;

/** Returns a sink that logs at `error` that an observer of `subject` failed, which is a fault of the program. */
export function toLog(logger: Pick<Logger, 'error'>, subject: string): ObserverErrorSink {
  return (error) => logger.error({ error }, `an observer of ${subject} failed`);
}

/**
 * Returns a callback that calls `observer` and never throws. Errors of the observer, thrown or by a rejected promise,
 * go to `onError`, of consecutive ones the first alone. Wrap every callback that only informs, so that no fault in it
 * ends the work that it watches.
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

/** The observers of one thing. Each is notified whatever the others throw, and no error reaches the notifier. */
export class Observers<Values extends readonly unknown[] = []> {
  readonly #observers = new Set<(...values: Values) => void>();

  /** Adds an observer, even one that is there already. Returns a function that removes it again. */
  add(observer: Observer<Values>, onError: ObserverErrorSink): () => void {
    const added = isolated(observer, onError);
    this.#observers.add(added);
    return () => void this.#observers.delete(added);
  }

  /** Notifies all current observers, in the order in which they were added. Never throws. */
  notify(...values: Values): void {
    // A copy: a set that grows while it is walked through has no end.
    const present = [...this.#observers];
    for (const observer of present) if (this.#observers.has(observer)) observer(...values);
  }

  /** Removes all observers. */
  clear(): void {
    this.#observers.clear();
  }
}
