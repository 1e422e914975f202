import { onAbort } from '@skein/protocol';

/**
 * Waits for the end of a daemon. Returns when a signal of `orderly` aborts; throws the reason of `interrupted` when
 * that aborts.
 */
export async function untilStopped(options: {
  readonly orderly: readonly AbortSignal[];
  readonly interrupted: AbortSignal;
}): Promise<void> {
  const any = AbortSignal.any([options.interrupted, ...options.orderly]);
  // Timers of the daemon's parts may all be unreferenced; this one says that there is something to wait for.
  const alive = setInterval(() => undefined, 2 ** 30);
  const stopped = Promise.withResolvers<void>();
  using _abort = onAbort(any, stopped.resolve);
  await stopped.promise;
  clearInterval(alive);
  options.interrupted.throwIfAborted();
}
