import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { platforms } from './expected.ts';
import { copyPackageFiles, plannedPackages } from './install-plan.ts';
import { lockFileSchema, missingEntries, nativePackages } from './lock-file.ts';

/**
 * Checks that `npm ci` installs on every platform what it should, by the lock file of the checkout in `directory` and
 * without a network.
 *
 * @returns a sentence for each fault
 */
export async function checkPlatforms(directory: string): Promise<readonly string[]> {
  const lock = lockFileSchema.parse(JSON.parse(await readFile(join(directory, 'package-lock.json'), 'utf8')));
  const native = nativePackages(lock);
  await using copy = await copyPackageFiles(directory);
  const differences = platforms.map(async ({ os, cpu, packages }) => {
    const planned = new Set(await plannedPackages(copy.directory, { os, cpu }));
    return [
      ...packages.filter((name) => !planned.has(name)).map((name) => `${os} ${cpu} does not get ${name}`),
      ...[...planned]
        .filter((name) => native.has(name) && !packages.includes(name))
        .map((name) => `${os} ${cpu} gets ${name}, which is not expected`),
    ];
  });
  return [
    ...missingEntries(lock).map((entry) => `package-lock.json has no entry for an optional dependency of ${entry}`),
    ...(await Promise.all(differences)).flat(),
  ];
}
