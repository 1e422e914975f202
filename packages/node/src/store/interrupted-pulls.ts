import { readdir, stat } from 'node:fs/promises';

import { removeFile, removeTree } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import { bytesOnDisk, onDisk, takeLock } from '../disk/index.ts';
import type { StoreLayout } from './layout.ts';

const partialName = /^([0-9a-f]{64})\.partial$/;

/**
 * Returns the bytes on the disk of pulls that have not ended, those under way included.
 *
 * @throws SkeinError `disk-failed` when they can't be listed
 */
export async function unfinishedBytes(layout: StoreLayout): Promise<number> {
  let bytes = 0;
  for (const key of await unfinishedKeys(layout)) bytes += await bytesOf(layout.download(key).partial);
  return bytes;
}

/**
 * Removes pulls that were interrupted, and returns the bytes of the disk that this frees. Those under way go on, and
 * so count those of a process that was killed within the last 15 seconds.
 *
 * @throws SkeinError `disk-failed` when they can't be listed or removed
 */
export async function removeInterruptedPulls(
  layout: StoreLayout,
  { signal }: { readonly signal: AbortSignal },
): Promise<{ readonly freedBytes: number }> {
  let freedBytes = 0;
  for (const key of await unfinishedKeys(layout)) {
    const { partial, scratch, lock } = layout.download(key);
    const taken = new AbortController();
    const onWait = async () => taken.abort(new SkeinError('already-running', 'the pull is under way'));
    try {
      await using _lock = await takeLock(lock, { signal: AbortSignal.any([signal, taken.signal]), onWait });
      const bytes = await bytesOf(partial);
      await onDisk(layout.models, async () => {
        await removeFile(partial);
        await removeTree(scratch);
      });
      freedBytes += bytes;
    } catch (error) {
      signal.throwIfAborted();
      if (!taken.signal.aborted) throw error;
    }
  }
  return { freedBytes };
}

async function unfinishedKeys({ models }: StoreLayout): Promise<readonly string[]> {
  const names = await onDisk(models, async () => await readdir(models));
  return names.map((name) => partialName.exec(name)?.[1]).filter((key) => key !== undefined);
}

async function bytesOf(path: string): Promise<number> {
  const status = await stat(path).catch(() => undefined);
  return status === undefined || status.nlink > 1 ? 0 : bytesOnDisk(status);
}
