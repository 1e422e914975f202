import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import { runTool, type RunToolOptions } from './run-tool.ts';

/** HAProxy as Debian has it, unpacked and not installed. */
export interface Haproxy {
  readonly program: string;
  /** Variables that its process needs. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Debian's package, and those of its libraries that a small system lacks. */
const packages = ['haproxy', 'liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1'];
const purpose = 'HAProxy is fetched as a package of Debian, with apt-get and dpkg; run this on Debian or Ubuntu';

/**
 * Fetches HAProxy from the system's own package source, once, into the {@link cacheDirectory}. Nothing is installed.
 *
 * @throws Error that names the fix when it can't be had
 */
export async function fetchHaproxy({ signal }: Pick<RunToolOptions, 'signal'>): Promise<Haproxy> {
  const directory = join(cacheDirectory(), 'rivals', 'haproxy');
  const haproxy = await foundIn(directory);
  if (haproxy !== undefined) return haproxy;
  const partial = `${directory}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const quietly = { signal, onLine: () => undefined, directory: partial, purpose };
  await runTool('apt-get', ['download', ...packages], quietly);
  const archives = (await readdir(partial)).filter((name) => name.endsWith('.deb'));
  for (const archive of archives) await runTool('dpkg', ['-x', archive, 'root'], quietly);
  await rename(join(partial, 'root'), directory);
  await rm(partial, { recursive: true });
  const fetched = await foundIn(directory);
  if (fetched === undefined) throw new Error(`the packages in ${directory} have no haproxy; remove it and try again`);
  return fetched;
}

async function foundIn(directory: string): Promise<Haproxy | undefined> {
  const names = await readdir(join(directory, 'usr/sbin')).catch((): string[] => []);
  if (!names.includes('haproxy')) return undefined;
  const triplets = await readdir(join(directory, 'usr/lib')).catch((): string[] => []);
  const libraries = triplets.map((triplet) => join(directory, 'usr/lib', triplet)).join(':');
  return { program: join(directory, 'usr/sbin/haproxy'), variables: { LD_LIBRARY_PATH: libraries } };
}
