import { setTimeout as delay } from 'node:timers/promises';

import { hasCode, SkeinError } from '@skein/protocol';
import { lock as lockFile } from 'proper-lockfile';

/** How often a taken lock is tried again, in milliseconds. */
const retryIntervalMs = 200;
/** A lock that its holder has not renewed for this long, in milliseconds, belonged to a process that died. */
const staleMs = 15_000;

/** A lock that is held. Dispose it to give it back. */
export interface HeldLock extends AsyncDisposable {
  /** Fires when the lock was lost, e.g. after the machine slept for long: stop touching what it protects. */
  readonly lost: AbortSignal;
}

/**
 * Takes a lock between processes, waiting for as long as another holds it. The lock of a process that died is taken over.
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
