import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, realpath, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, posix, resolve, win32 } from 'node:path';

import { isIdentityEncrypted, removeFile, type KeyOptions } from '@skein/mesh';
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
 * @throws SkeinError `disk-failed` when other users can enter it and its keys are not encrypted, or it can't be used
 */
export async function findDataDirectory(path: string, options: KeyOptions = {}): Promise<string> {
  const directory = resolve(path);
  try {
    await assertOwn(directory, options);
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
 * @throws SkeinError `disk-failed` when it can't be made, or when other users can enter it and its keys are not, or
 * would not be, encrypted
 */
export async function openDataDirectory(path: string, options: KeyOptions = {}): Promise<string> {
  const directory = resolve(path);
  try {
    await makeDirectory(directory);
    await closeToOthers(directory, options);
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

async function closeToOthers(directory: string, options: KeyOptions): Promise<void> {
  const isEmpty = !(await isUsed(directory));
  if (process.platform === 'win32') {
    if (!isEmpty) return await assertOwnOnWindows(directory);
    if (isInProfile(await realpath(directory))) return;
    await closeDirectory(directory);
    return await assertClosed(directory);
  }
  if (isEmpty) await chmod(directory, 0o700).catch(ignoreRefusal);
  if (!(await isOpenToOthers(directory)) || (await hasEncryptedKeys(directory, options))) return;
  throw (await keepsModes(directory)) ? openToOthers(directory) : keepsNoModes(directory);
}

/** Checks that no other users can enter a directory that has content, or that its keys are encrypted. */
async function assertOwn(directory: string, options: KeyOptions): Promise<void> {
  if (!(await isUsed(directory))) return;
  if (process.platform === 'win32') return await assertOwnOnWindows(directory);
  if (!(await isOpenToOthers(directory)) || (await hasEncryptedKeys(directory, options))) return;
  throw openToOthers(directory);
}

/** Checks that the access list of the profile protects a directory, or one that is looked at. */
async function assertOwnOnWindows(directory: string): Promise<void> {
  if (!isInProfile(await realpath(directory))) await assertClosed(directory);
}

/** Tells whether the file system lets other users enter a directory. */
export async function isOpenToOthers(directory: string): Promise<boolean> {
  return process.platform !== 'win32' && ((await stat(directory)).mode & groupAndOthers) !== 0;
}

/** Returns the warning about a directory that is open to other users, and whose keys are encrypted. */
export function openWarning(directory: string): string {
  return `other users of this machine can read and change what lies in ${directory}, except for its keys, which are encrypted; where its file system keeps modes, close it with: chmod 700 ${shellWord(directory)}`;
}

async function isUsed(directory: string): Promise<boolean> {
  return (await readdir(directory)).length > 0;
}

/** Tells whether the keys in a directory are encrypted, or will be when they are made. */
async function hasEncryptedKeys(directory: string, { passphrase }: KeyOptions): Promise<boolean> {
  return passphrase !== undefined || (await isIdentityEncrypted(directory));
}

/** Tells whether a file that is made in a directory is as closed as it is asked to be. */
async function keepsModes(directory: string): Promise<boolean> {
  const probe = join(directory, `.modes-${randomUUID()}`);
  try {
    await writeFile(probe, '', { mode: 0o600, flag: 'wx' });
    return !(await isOpenToOthers(probe));
  } finally {
    await removeFile(probe);
  }
}

/** Passes over a refusal to change a mode: whether it was changed is looked at afterwards. */
function ignoreRefusal(error: unknown): void {
  if (!hasCode(error, 'EPERM') && !hasCode(error, 'ENOTSUP')) throw error;
}

function openToOthers(directory: string): SkeinError {
  const otherwise = 'where that changes nothing, encrypt the keys with --passphrase-file';
  return new SkeinError(
    'disk-failed',
    `${directory} is open to other users; run: chmod 700 ${shellWord(directory)} (${otherwise})`,
  );
}

function keepsNoModes(directory: string): SkeinError {
  const command = '(umask 077; head -c 24 /dev/urandom | base64 > ~/.skein-passphrase)';
  return new SkeinError(
    'disk-failed',
    `${directory} is open to other users, and its file system (SMB, exFAT, a Windows drive in WSL) does not keep modes; run: ${command}, and start again with --passphrase-file ~/.skein-passphrase, or name a directory elsewhere with --data`,
  );
}

function cannotUse(directory: string, error: unknown): SkeinError {
  if (isSkeinError(error)) return error;
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  const message = `can't use ${directory}${code}; check its permissions, or name another with --data`;
  return new SkeinError('disk-failed', message, { cause: error });
}
