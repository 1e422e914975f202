/**
 * Calls `wake` once when the signal is aborted, until the returned object is disposed. Calls it at once where the
 * signal is aborted already; never where there is no signal.
 *
 * This is the only way in Skein to listen to a signal, and the linter sees to that: a listener left behind keeps a
 * signal made by `AbortSignal.any`, and everything that the listener refers to, for as long as any of its sources
 * lives.
 *
 * @example `using _abort = onAbort(signal, () => stream.abort());`
 */
export function onAbort(signal: AbortSignal | undefined, wake: () => void): Disposable {
  if (signal?.aborted === true) wake();
  if (signal === undefined || signal.aborted) return { [Symbol.dispose]: () => undefined };
  // oxlint-disable-next-line skein/no-raw-abort-listener -- the one place
  signal.addEventListener('abort', wake, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', wake) };
}
