import { access, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { membershipFiles } from '@skein/mesh';

import { auditName } from './audit-directory.ts';

/** What the first start makes in a data directory: what the mesh package keeps, and the log that its identity signs. */
const names: readonly string[] = ['identity.key', ...membershipFiles, auditName];
/** The model store, which other commands fill, too. */
const storeNames: readonly string[] = ['models', 'manifests'];

/** Paths of what of that a data directory does not have yet. */
export async function missingFirstFiles(directory: string): Promise<readonly string[]> {
  const paths = [...names, ...storeNames].map((name) => join(directory, name));
  const isMissing = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => false,
        () => true,
      ),
    ),
  );
  return paths.filter((_, index) => isMissing[index]);
}

/** Removes what a start that failed has made. A store in which something lies by now stays. */
export async function removeFirstFiles(paths: readonly string[]): Promise<void> {
  const removals = paths.map(async (path) => {
    if (storeNames.includes(basename(path))) await rmdir(path).catch(() => undefined);
    else await rm(path, { force: true, recursive: true });
  });
  await Promise.all(removals);
}
