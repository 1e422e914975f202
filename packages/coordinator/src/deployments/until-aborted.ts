import { asSkeinError } from '@skein/protocol';

/** Waits for a promise that others wait for as well, until our own signal is aborted. Throws its SkeinError or `aborted`. */
export async function untilAborted<Value>(shared: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(asSkeinError(signal.reason, 'aborted'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([shared, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
