import { statfs } from 'node:fs/promises';

import { formatBytes, SkeinError } from '@skein/protocol';

import { onDisk } from './on-disk.ts';

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
    `not enough room in ${directory}: ${formatBytes(neededBytes)} are needed, ${formatBytes(freeBytes)} are free; free some and try again`,
    { details: { directory, neededBytes, freeBytes } },
  );
}
