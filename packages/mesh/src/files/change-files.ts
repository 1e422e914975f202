import { link, rename, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { hasCode } from '@skein/protocol';

/**
 * Codes with which Windows refuses to rename or remove a file that another process has open: a virus scanner, an
 * indexer, a backup. They let go after moments, after a large file after seconds.
 */
const busyCodes: readonly string[] = ['EPERM', 'EBUSY', 'EACCES'];
/** Pauses before further tries, in milliseconds; ten seconds together. */
const pausesMs: readonly number[] = [10, 20, 40, 80, 150, 300, 600, 1000, 1800, 2500, 3500];

/** The circumstances of a change, for tests: those of this process by default. */
export interface Circumstances {
  readonly platform?: NodeJS.Platform;
  /** Waits for so many milliseconds. */
  readonly wait?: (durationMs: number) => Promise<unknown>;
}

/** Renames a file, in place of one that has the new name. Throws the system's error. */
export async function renameFile(from: string, to: string): Promise<void> {
  await untilFree(async () => await rename(from, to));
}

/** Gives a file another name beside its own; fails with `EEXIST` where that name is taken. Throws the system's error. */
export async function linkFile(file: string, name: string): Promise<void> {
  await untilFree(async () => await link(file, name));
}

/** Removes a file; a missing one is fine. Throws the system's error. */
export async function removeFile(path: string): Promise<void> {
  await untilFree(async () => await rm(path, { force: true }));
}

/** Removes a directory with all that is in it, or a file; a missing one is fine. Throws the system's error. */
export async function removeTree(path: string): Promise<void> {
  await untilFree(async () => await rm(path, { force: true, recursive: true }));
}

/** Removes a file unless somebody uses it, and returns whether it is gone. Waits for nobody and never throws. */
export async function removeUnlessUsed(path: string): Promise<boolean> {
  return await rm(path, { force: true }).then(
    () => true,
    () => false,
  );
}

/**
 * Runs a change of a directory's entries, and on Windows runs it again while somebody else has the file open, for ten
 * seconds at most. Elsewhere an open file is in nobody's way, and a refusal is final.
 */
export async function untilFree(
  change: () => Promise<void>,
  { platform = process.platform, wait = delay }: Circumstances = {},
): Promise<void> {
  for (const pauseMs of platform === 'win32' ? pausesMs : []) {
    try {
      return await change();
    } catch (error) {
      if (!busyCodes.some((code) => hasCode(error, code))) throw error;
    }
    await wait(pauseMs);
  }
  await change();
}
