import { asSkeinError, SkeinError } from '@skein/protocol';

/** One signal for three causes: the caller's own, a deadline that moves, and its owner giving up. */
export class Watchdog implements Disposable {
  readonly signal: AbortSignal;
  readonly #own = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(caller: AbortSignal | undefined) {
    this.signal = caller === undefined ? this.#own.signal : AbortSignal.any([caller, this.#own.signal]);
  }

  /**
   * Sets the deadline: aborts with `deadline-exceeded` unless this or {@link rest} is called again in time.
   *
   * @param what the missing event, for the message, e.g. `no first token came`
   */
  expect(milliseconds: number, what: string): void {
    this.rest();
    this.#timer = setTimeout(() => {
      this.abort(new SkeinError('deadline-exceeded', `${what} within ${milliseconds / 1000} s; try again`));
    }, milliseconds);
  }

  /** Suspends the deadline. */
  rest(): void {
    clearTimeout(this.#timer);
  }

  abort(error: SkeinError): void {
    this.rest();
    this.#own.abort(error);
  }

  /**
   * Returns the reason of the abort, else `error` as a SkeinError: a transport's own error after an abort is of no use
   * to the caller.
   */
  explain(error: unknown): SkeinError {
    if (!this.signal.aborted) return asSkeinError(error, 'peer-lost');
    const reason: unknown = this.signal.reason;
    return asSkeinError(reason, 'aborted');
  }

  [Symbol.dispose](): void {
    this.rest();
  }
}
