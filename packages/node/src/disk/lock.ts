import { setTimeout as delay } from 'node:timers/promises';

import { hasCode, SkeinError } from '@skein/protocol';
import { lock as lockFile } from 'proper-lockfile';

/** Pause between two tries to take a lock, in milliseconds. */
const retryIntervalMs = 200;
/** Time without a renewal, in milliseconds, after which the holder of a lock counts as a process that died. */
const staleMs = 15_000;

/** A held lock. Dispose it to release it. */
export interface HeldLock extends AsyncDisposable {
  /** Fires when the lock is lost, e.g. after the machine slept for long: leave alone what the lock protects. */
  readonly lost: AbortSignal;
}

/**
 * Takes a lock between processes, waiting for as long as another holds it. Takes over the lock of a process that died.
 *
 * @param options.onWait called at each try while another holds it
 */
export async function takeLock(
  path: string,
  options: { readonly signal: AbortSignal; readonly onWait?: (() => Promise<void>) | undefined },
): Promise<HeldLock> {
  const lost = new AbortController();
  const onCompromised = (error: Error) => {
    lost.abort(
      new SkeinError('disk-failed', `lost the lock ${path}; another process took over, try again`, { cause: error }),
    );
  };
  for (;;) {
    options.signal.throwIfAborted();
    try {
      const release = await lockFile(path, { realpath: false, lockfilePath: path, stale: staleMs, onCompromised });
      return {
        lost: lost.signal,
        async [Symbol.asyncDispose]() {
          // Fails only when the lock is not ours any more, and then there is nothing to give back.
          await release().catch(() => {});
        },
      };
    } catch (error) {
      if (!isTaken(error)) {
        throw new SkeinError('disk-failed', `cannot create the lock ${path}; check permissions`, { cause: error });
      }
      await options.onWait?.();
      await delay(retryIntervalMs, undefined, { signal: options.signal });
    }
  }
}

function isTaken(error: unknown): boolean {
  return hasCode(error, 'ELOCKED');
}
