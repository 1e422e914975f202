import { chmod, mkdir, readdir, realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, posix, resolve, win32 } from 'node:path';

import { hasCode, isSkeinError, SkeinError } from '@skein/protocol';

import { shellWord } from '../output/format.ts';
import { assertClosed, closeDirectory, isInProfile } from './windows-access.ts';

const groupAndOthers = 0o077;

/** The parts of the environment that determine the place of a user's data. */
export interface DataEnvironment {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  /** Linux and other Unixes: `XDG_DATA_HOME`. */
  readonly xdgDataHome: string | undefined;
  /** Windows: `LOCALAPPDATA`. */
  readonly localAppData: string | undefined;
}

/** Returns the default place for identity, certificate and models. */
export function defaultDataDirectory({ platform, home, xdgDataHome, localAppData }: DataEnvironment): string {
  if (platform === 'win32') return win32.join(localAppData ?? win32.join(home, 'AppData', 'Local'), 'skein');
  if (platform === 'darwin') return posix.join(home, 'Library', 'Application Support', 'skein');
  // The XDG specification has relative paths ignored.
  if (xdgDataHome?.startsWith('/') === true) return posix.join(xdgDataHome, 'skein');
  return posix.join(home, '.local', 'share', 'skein');
}

/** Returns the {@link defaultDataDirectory} for this process. */
export function ownDataDirectory(environment: NodeJS.ProcessEnv): string {
  return defaultDataDirectory({
    platform: process.platform,
    home: homedir(),
    xdgDataHome: environment['XDG_DATA_HOME'],
    localAppData: environment['LOCALAPPDATA'],
  });
}

/**
 * Returns the canonical path of a directory that may be missing, for commands that only read. Makes and changes
 * nothing.
 *
 * @throws SkeinError `disk-failed` when other users can enter it, or it can't be used
 */
export async function findDataDirectory(path: string): Promise<string> {
  const directory = resolve(path);
  try {
    await assertOwn(directory);
    return await realpath(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return directory;
    throw cannotUse(directory, error);
  }
}

/**
 * Makes a data directory usable: existing, and closed to other users. A missing or empty one gets mode 0700; one with
 * content is somebody's choice and stays as it is. Returns its canonical path, so that every name of it leads to the
 * same daemon.
 *
 * @throws SkeinError `disk-failed` when it can't be made, or when other users can enter it
 */
export async function openDataDirectory(path: string): Promise<string> {
  const directory = resolve(path);
  try {
    await makeDirectory(directory);
    await closeToOthers(directory);
    return await realpath(directory);
  } catch (error) {
    throw cannotUse(directory, error);
  }
}

/**
 * Makes a directory one level at a time: Node's own recursion never ends where an existing directory refuses new ones,
 * as /proc does.
 */
async function makeDirectory(directory: string): Promise<void> {
  try {
    return await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    const parent = dirname(directory);
    if (!hasCode(error, 'ENOENT') || parent === directory) throw error;
    await makeDirectory(parent);
  }
  await mkdir(directory, { mode: 0o700 });
}

async function closeToOthers(directory: string): Promise<void> {
  const isEmpty = (await readdir(directory)).length === 0;
  if (!isEmpty) return await assertOwn(directory);
  if (process.platform !== 'win32') return await chmod(directory, 0o700);
  if (isInProfile(await realpath(directory))) return;
  await closeDirectory(directory);
  await assertClosed(directory);
}

/**
 * Checks that no other users can enter a directory that has content. Windows has no bits for that: there the access list
 * of the profile protects it, or one that is looked at.
 */
async function assertOwn(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  const isOpen = process.platform === 'win32' ? !isInProfile(await realpath(directory)) : (mode & groupAndOthers) !== 0;
  if (!isOpen || (await readdir(directory)).length === 0) return;
  if (process.platform !== 'win32') throw openToOthers(directory);
  await assertClosed(directory);
}

function openToOthers(directory: string): SkeinError {
  return new SkeinError('disk-failed', `${directory} is open to other users; run: chmod 700 ${shellWord(directory)}`);
}

function cannotUse(directory: string, error: unknown): SkeinError {
  if (isSkeinError(error)) return error;
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  const message = `can't use ${directory}${code}; check its permissions, or name another with --data`;
  return new SkeinError('disk-failed', message, { cause: error });
}
