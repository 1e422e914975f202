import { SkeinError } from '@skein/protocol';

/**
 * A deadline that moves: its signal fires when {@link StallGuard.progress} has not been called for `timeoutMs`, or when
 * the caller's signal does. Dispose it to stop the clock.
 */
export class StallGuard implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  constructor(options: {
    /** Longest time without progress, in milliseconds. */
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    /** Message of the `deadline-exceeded` error that the signal carries: the thing that stalled, and the fix. */
    readonly message: string;
  }) {
    const stalled = new AbortController();
    this.#timer = setTimeout(() => {
      stalled.abort(new SkeinError('deadline-exceeded', options.message));
    }, options.timeoutMs);
    this.signal = AbortSignal.any([options.signal, stalled.signal]);
  }

  /** Restarts the clock. */
  progress(): void {
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
