import { randomBytes } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { hasCode, SkeinError } from '@skein/protocol';

import { linkFile, removeFile, renameFile } from '../files/change-files.ts';
import { readFileIfAny } from '../files/read-file.ts';

const defaultMaxBytes = 4096;
const groupAndOthers = 0o077;

/**
 * Reads a file that only its owner may read; undefined when there is none.
 *
 * @param options.maxBytes longest file. Default 4,096
 * @throws SkeinError `disk-failed` for one that others can read, and so may have copied, with the command that fixes
 * it; otherwise as {@link readFileIfAny} does
 */
export async function readSecretFile(
  path: string,
  { maxBytes = defaultMaxBytes }: { readonly maxBytes?: number } = {},
): Promise<Uint8Array | undefined> {
  return await readFileIfAny(path, {
    maxBytes,
    check: ({ mode }) => {
      // Windows has no such bits; there the access list of the profile, or of the data directory, protects the file.
      if (process.platform === 'win32' || (mode & groupAndOthers) === 0) return;
      throw new SkeinError('disk-failed', `${path} can be read by other users; run: chmod 600 ${path}`);
    },
  });
}

/**
 * Creates a file with mode 0600 in one step: it has all its bytes, safe from a power cut, or does not exist. Never
 * replaces one; returns false when it exists already. Makes a missing directory with mode 0700.
 *
 * @throws SkeinError `disk-failed` when it can't be written
 */
export async function createSecretFile(path: string, bytes: Uint8Array): Promise<boolean> {
  const directory = dirname(path);
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    try {
      await writeFile(temporary, bytes, { mode: 0o600, flag: 'wx', flush: true });
      // Unlike rename, link fails where a file exists: two processes that start at once agree on one secret.
      await linkFile(temporary, path);
    } finally {
      await removeFile(temporary).catch(() => undefined);
    }
    await syncDirectory(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw new SkeinError('disk-failed', `can't write ${path}; check free space and permissions`, { cause: error });
  }
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

/** Makes a new directory entry durable. Windows can't open directories, and doesn't need it. */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
