import { asSkeinError, isSkeinError, onAbort, type SkeinError } from '@skein/protocol';

/** Bounds on one wait. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Longest wait in milliseconds. Default: no bound. */
  readonly timeoutMs?: number | undefined;
}

/** Combines a caller's signal and a deadline into one signal; undefined when there is neither. */
export function waitSignal({ signal, timeoutMs }: WaitOptions): AbortSignal | undefined {
  if (timeoutMs === undefined) return signal;
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

/** Returns the error of an aborted signal: the caller's own SkeinError, `deadline-exceeded` or `aborted`. */
export function abortError(signal: AbortSignal): SkeinError {
  const reason: unknown = signal.reason;
  if (isSkeinError(reason)) return reason;
  return asSkeinError(reason, 'aborted');
}

/** Throws the {@link abortError} of a signal that has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/**
 * Waits for a promise, at most until the signal aborts; then throws its {@link abortError}. The work behind the promise
 * goes on, and nobody hears of its later failure.
 */
export async function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  const aborted = Promise.withResolvers<never>();
  using _abort = onAbort(signal, () => {
    if (signal !== undefined) aborted.reject(abortError(signal));
  });
  return await Promise.race([aborted.promise, promise]);
}

/** Waits for a time, or until the signal aborts. Never throws. */
export async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, durationMs);
  using _abort = onAbort(signal, over.resolve);
  await over.promise;
  clearTimeout(timer);
}
