import type { Stats } from 'node:fs';
import { statfs } from 'node:fs/promises';

import { formatBytes, SkeinError } from '@skein/protocol';

import { onDisk } from './on-disk.ts';

/**
 * A measurement of the bytes free for this user on the file system of a directory. Injected, so that a full disk can be
 * tested.
 */
export type MeasureFreeBytes = (directory: string) => Promise<number>;

/** Asks the file system for the bytes free for this user. */
export const measureFreeBytes: MeasureFreeBytes = async (directory) => {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
};

/**
 * Checks that a directory has room for `neededBytes`.
 *
 * @throws SkeinError `disk-failed` that says how much is needed, how much is free, and where
 */
export async function assertRoom(directory: string, neededBytes: number, measure: MeasureFreeBytes): Promise<void> {
  const freeBytes = await onDisk(directory, () => measure(directory));
  if (freeBytes >= neededBytes) return;
  throw new SkeinError(
    'disk-failed',
    `not enough room in ${directory}: ${formatBytes(neededBytes)} are needed, ${formatBytes(freeBytes)} are free; free some and try again`,
    { details: { directory, neededBytes, freeBytes } },
  );
}

/** Unit of `Stats.blocks`, in bytes, whatever the file system's own blocks are. */
const blockBytes = 512;

/** Returns the bytes that a file takes on the disk: holes count as nothing. */
export function bytesOnDisk({ blocks }: Stats): number {
  return blocks * blockBytes;
}
