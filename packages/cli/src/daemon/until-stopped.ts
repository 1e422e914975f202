import { once } from 'node:events';

/**
 * Waits for the end of a daemon. Returns when one of `orderly` is aborted; throws the reason of `interrupted` when that
 * is.
 */
export async function untilStopped(options: {
  readonly orderly: readonly AbortSignal[];
  readonly interrupted: AbortSignal;
}): Promise<void> {
  const any = AbortSignal.any([options.interrupted, ...options.orderly]);
  // Timers of the daemon's parts may all be unreferenced; this one says that there is something to wait for.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    if (!any.aborted) await once(any, 'abort');
  } finally {
    clearInterval(alive);
  }
  options.interrupted.throwIfAborted();
}
