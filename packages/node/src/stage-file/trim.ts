import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { removeUnlessUsed } from '@skein/mesh';
import { hasCode } from '@skein/protocol';

import { bytesOnDisk, onDisk } from '../disk/index.ts';
import { isStageFileName } from './stage-file-name.ts';

/** Time after its last use for which a file is spared, in milliseconds: its user may not have opened it yet. */
const sparedMs = 60 * 60 * 1000;

/**
 * Removes the stage files used longest ago, by their modification time, until the rest takes at most `maxBytes` on the
 * disk; holes count as nothing. Spares files in use, those used within the last hour, and all that are not finished
 * stage files. A removed file may still be open or mapped in an engine: POSIX then keeps its content until the engine
 * closes it; Windows refuses to remove it, so that it stays.
 */
export async function trimStageFiles(options: {
  readonly directory: string;
  readonly maxBytes: number;
  /** Paths in the directory. */
  readonly inUse: ReadonlySet<string>;
}): Promise<void> {
  const { directory, maxBytes, inUse } = options;
  const files = (await stageFilesIn(directory)).toSorted((first, second) => first.usedAtMs - second.usedAtMs);
  let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const sparedSinceMs = Date.now() - sparedMs;
  for (const file of files) {
    if (bytes <= maxBytes) return;
    if (inUse.has(file.path) || file.usedAtMs > sparedSinceMs) continue;
    if (await removeUnlessUsed(file.path)) bytes -= file.bytes;
  }
}

/**
 * Returns the bytes that finished stage files take on the disk; 0 where there is no such directory.
 *
 * @throws SkeinError `disk-failed` when they can't be listed
 */
export async function stageFileBytes(directory: string): Promise<number> {
  return (await stageFilesIn(directory)).reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Removes all finished stage files, and returns the bytes of the disk that this frees. One that the system keeps while it
 * is open, as Windows does, stays.
 *
 * @throws SkeinError `disk-failed` when they can't be listed or removed
 */
export async function removeStageFiles(directory: string): Promise<{ readonly freedBytes: number }> {
  let freedBytes = 0;
  for (const { path, bytes } of await stageFilesIn(directory)) {
    if (await onDisk(directory, () => removeUnlessUsed(path))) freedBytes += bytes;
  }
  return { freedBytes };
}

/** Lists the finished stage files that a directory holds. */
async function stageFilesIn(directory: string) {
  const names = await onDisk(directory, () => readdir(directory).catch(noneIfMissing));
  const files = await Promise.all(names.filter(isStageFileName).map(describe(directory)));
  return files.filter((file) => file !== undefined);
}

function noneIfMissing(error: unknown): readonly string[] {
  if (hasCode(error, 'ENOENT')) return [];
  throw error;
}

/** Reads a file's size on the disk and its last use; undefined when it has gone meanwhile. */
function describe(directory: string) {
  return async (name: string) => {
    const path = join(directory, name);
    const status = await stat(path).catch(() => undefined);
    return status && { path, bytes: bytesOnDisk(status), usedAtMs: status.mtimeMs };
  };
}
