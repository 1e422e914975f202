import { constants } from 'node:fs';
import { chmod, copyFile, lstat, open, realpath } from 'node:fs/promises';

import { linkFile, removeFile } from '@skein/mesh';

/**
 * Gives a file a second name without copying its content, where the file system can: as a clone, which shares blocks
 * until one of the two is written to (APFS, Btrfs, XFS; on Windows Node makes none), or as a hard link, where that is
 * allowed. Returns false, and leaves nothing, where it can't: on another file system, or when the file belongs to
 * somebody else.
 *
 * @param options.from path of the file; links lead to their target
 * @param options.to path that does not exist yet
 * @param options.mayLink whether a hard link is allowed: the two names then are one file, and what is written to one of
 * them, the other one has, too
 */
export async function shareFile(options: {
  readonly from: string;
  readonly to: string;
  readonly mayLink: boolean;
}): Promise<boolean> {
  const { from, to, mayLink } = options;
  if (await succeeds(async () => await clone(from, to))) return true;
  await removeFile(to);
  // A link to a symbolic link would be one more symbolic link.
  if (!mayLink || !(await succeeds(async () => await linkFile(await realpath(from), to)))) return false;
  if ((await lstat(to)).isFile()) return true;
  await removeFile(to);
  return false;
}

/** Makes a clone that belongs to us, whatever may be done with the original, and that survives a power cut. */
async function clone(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
  await chmod(to, 0o600);
  await using file = await open(to, 'r+');
  await file.sync();
}

async function succeeds(action: () => Promise<unknown>): Promise<boolean> {
  return await action().then(
    () => true,
    () => false,
  );
}
