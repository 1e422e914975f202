import { access } from 'node:fs/promises';
import { join } from 'node:path';

import { membershipFiles } from '@skein/mesh';

import { auditName } from './audit-directory.ts';

/** What the first start makes in a data directory: what the mesh package keeps, and the log that its identity signs. */
const names: readonly string[] = ['identity.key', ...membershipFiles, auditName];

/** Paths of what of that a data directory does not have yet. */
export async function missingFirstFiles(directory: string): Promise<readonly string[]> {
  const paths = names.map((name) => join(directory, name));
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
