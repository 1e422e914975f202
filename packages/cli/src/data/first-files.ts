import { access } from 'node:fs/promises';
import { join } from 'node:path';

/** What the mesh package keeps in a data directory. */
const fileNames: readonly string[] = ['identity.key', 'mesh.secret'];

/** Paths of those files that a data directory does not have yet. */
export async function missingSecretFiles(directory: string): Promise<readonly string[]> {
  const paths = fileNames.map((name) => join(directory, name));
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
