import { randomBytes } from 'node:crypto';
import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { hasCode, isSkeinError, SkeinError } from '@skein/protocol';

import { linkFile, removeFile, renameFile } from '../files/change-files.ts';
import { readFileIfAny } from '../files/read-file.ts';
import { syncDirectory } from '../files/sync-directory.ts';
import { isSealed } from './sealing.ts';

const defaultMaxBytes = 4096;
const groupAndOthers = 0o077;

/**
 * Reads a file that only its owner may read; undefined when there is none. Where its content is encrypted, others may
 * read it, as on a file system that keeps no modes.
 *
 * @param options.maxBytes longest file. Default 4,096
 * @throws SkeinError `disk-failed` for one that others can read, and so may have copied, with the command that fixes
 * it; otherwise as {@link readFileIfAny} does
 */
export async function readSecretFile(
  path: string,
  { maxBytes = defaultMaxBytes }: { readonly maxBytes?: number } = {},
): Promise<Uint8Array | undefined> {
  let isOpen = false;
  const bytes = await readFileIfAny(path, { maxBytes, check: ({ mode }) => void (isOpen = isOpenToOthers(mode)) });
  if (bytes === undefined || !isOpen || isSealed(bytes)) return bytes;
  throw new SkeinError('disk-failed', `${path} can be read by other users; run: chmod 600 ${path}`);
}

function isOpenToOthers(mode: number): boolean {
  // Windows has no such bits; there the access list of the profile, or of the data directory, protects the file.
  return process.platform !== 'win32' && (mode & groupAndOthers) !== 0;
}

/**
 * Creates a file with mode 0600 in one step: it has all its bytes, safe from a power cut, or does not exist. Never
 * replaces one; returns false when it exists already. Makes a missing directory with mode 0700.
 *
 * @throws SkeinError `disk-failed` when it can't be written, or others could read it and it is not encrypted
 */
export async function createSecretFile(path: string, bytes: Uint8Array): Promise<boolean> {
  const directory = dirname(path);
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    try {
      await writeFile(temporary, bytes, { mode: 0o600, flag: 'wx', flush: true });
      if (isOpenToOthers((await stat(temporary)).mode) && !isSealed(bytes)) throw keepsNoModes(path);
      await takeName(path, { temporary, bytes });
    } finally {
      await removeFile(temporary).catch(() => undefined);
    }
    await syncDirectory(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    if (isSkeinError(error)) throw error;
    throw new SkeinError('disk-failed', `can't write ${path}; check free space and permissions`, { cause: error });
  }
}

/** Codes of file systems that give a file one name only, such as exFAT and SMB. */
const noLinkCodes: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/**
 * Gives a temporary file its name, and fails with `EEXIST` where that is taken: unlike with rename, two processes that
 * start at once agree on one secret. Where a file has one name only, its content is written under that name anew; a
 * power cut may then leave a part, which is told to be damaged.
 */
async function takeName(
  path: string,
  { temporary, bytes }: { readonly temporary: string; readonly bytes: Uint8Array },
): Promise<void> {
  try {
    await linkFile(temporary, path);
  } catch (error) {
    if (!noLinkCodes.some((code) => hasCode(error, code))) throw error;
    await writeNew(path, bytes);
  }
}

/** Writes a file that must not be there yet. One that can't be written whole is removed: half a key is none. */
async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } catch (error) {
    await removeFile(path);
    throw error;
  }
}

function keepsNoModes(path: string): SkeinError {
  const fix = 'encrypt the keys with --passphrase-file, or name a directory elsewhere with --data';
  return new SkeinError('disk-failed', `other users could read ${path}: its file system keeps no modes; ${fix}`);
}

/**
 * Writes a file with mode 0600, in place of an existing one: the old one or the new one is there whole, whatever
 * happens.
 *
 * @throws SkeinError `disk-failed` when it can't be written
 */
export async function replaceSecretFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    try {
      await writeFile(temporary, bytes, { mode: 0o600, flag: 'wx', flush: true });
      await renameFile(temporary, path);
    } catch (error) {
      await removeFile(temporary).catch(() => undefined);
      throw error;
    }
    await syncDirectory(dirname(path));
  } catch (error) {
    throw new SkeinError('disk-failed', `can't write ${path}; check free space and permissions`, { cause: error });
  }
}
