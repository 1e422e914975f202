import { rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { isAnything, membershipFiles, removeTree } from '@skein/mesh';

import { auditName } from './audit-directory.ts';

/** Files that the first start makes in a data directory: of the mesh, its log, and what its coordinator keeps. */
const names: readonly string[] = ['identity.key', ...membershipFiles, auditName, 'lease.json', 'deployments.json'];
/** Directories of the model store, which other commands fill, too. */
const storeNames: readonly string[] = ['models', 'manifests'];

/**
 * Returns the paths of files of the first start that the data directory lacks.
 *
 * @throws SkeinError `disk-failed` when that can't be determined
 */
export async function missingFirstFiles(directory: string): Promise<readonly string[]> {
  const paths = [...names, ...storeNames].map((name) => join(directory, name));
  // An unreadable entry counts as there: it is not ours to remove.
  const isThere = await Promise.all(paths.map(isAnything));
  return paths.filter((_, index) => isThere[index] === false);
}

/** Removes the files that a failed start has made. A directory of the store stays if it has content by now. */
export async function removeFirstFiles(paths: readonly string[]): Promise<void> {
  const removals = paths.map(async (path) => {
    if (storeNames.includes(basename(path))) await rmdir(path).catch(() => undefined);
    else await removeTree(path);
  });
  await Promise.all(removals);
}
