import { randomUUID } from 'node:crypto';
import { open, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { isSkeinError, SkeinError } from '@skein/protocol';

/** Bytes free for this user on the file system of a directory. Injected, so that a full disk can be tested. */
export type MeasureFreeBytes = (directory: string) => Promise<number>;

export const measureFreeBytes: MeasureFreeBytes = async (directory) => {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
};

/** @throws SkeinError `disk-failed` that says how much is needed, how much there is, and where */
export async function assertRoom(directory: string, neededBytes: number, measure: MeasureFreeBytes): Promise<void> {
  const freeBytes = await onDisk(directory, () => measure(directory));
  if (freeBytes >= neededBytes) return;
  throw new SkeinError(
    'disk-failed',
    `not enough room in ${directory}: ${neededBytes} bytes are needed, ${freeBytes} are free; free some and pull again`,
    { details: { directory, neededBytes, freeBytes } },
  );
}

/** Runs an action on a file; what the system refuses becomes `disk-failed` with the directory in it. */
export async function onDisk<Result>(directory: string, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (isSkeinError(error)) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason';
    const isFull = code === 'ENOSPC' || code === 'EDQUOT';
    const message = isFull
      ? `no room left in ${directory}; free some and try again`
      : `cannot write to ${directory} (${code}); check its permissions and the disk`;
    throw new SkeinError('disk-failed', message, { cause: error });
  }
}

/** Moves a file whose content is on the disk already, so that it survives a power cut under its new name. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await onDisk(dirname(to), async () => {
    await rename(from, to);
    await syncDirectory(dirname(to));
  });
}

/** Replaces a small file as a whole: readers see the old content or the new one, and so they do after a power cut. */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    await onDisk(dirname(path), () => writeFile(temporary, content, { flush: true }));
    await renameDurably(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open directories; its rename is durable enough without.
  if (process.platform === 'win32') return;
  await using handle = await open(directory, 'r');
  await handle.sync();
}
