import type { Stats } from 'node:fs';
import { constants, lstat, open, stat, type FileHandle } from 'node:fs/promises';

import { hasCode, isSkeinError, SkeinError } from '@skein/protocol';

import { renameFile } from './change-files.ts';

// A named pipe would keep us waiting for a writer. Windows has no such flag, and ors undefined to nothing.
const readWithoutWaiting = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Reads a small file whole; undefined only where there is none. A file that can't be read must never count as missing,
 * and be replaced.
 *
 * @param options.check throws for a file that must not be used; gets the status of the very file that is read
 * @throws SkeinError `disk-failed`, with path, reason and fix, when it can't be read or is larger than `maxBytes`
 */
export async function readFileIfAny(
  path: string,
  options: { readonly maxBytes: number; readonly check?: (stats: Stats) => void },
): Promise<Uint8Array | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, readWithoutWaiting);
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > options.maxBytes) {
      throw new SkeinError('disk-failed', `${path} is not a file that Skein wrote; move it away`);
    }
    options.check?.(stats);
    return new Uint8Array(await file.readFile());
  } catch (error) {
    if (isSkeinError(error)) throw error;
    if (!hasCode(error, 'ENOENT')) throw cannotRead(path, error);
    if (!(await isLink(path))) return undefined;
    const fix = 'restore that file, or remove the link';
    throw new SkeinError('disk-failed', `${path} is a link to a file that is not there; ${fix}`, { cause: error });
  } finally {
    await file?.close();
  }
}

/**
 * Returns the status of a file; undefined only where there is none.
 *
 * @throws SkeinError `disk-failed` as {@link readFileIfAny} does
 */
export async function statIfAny(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw cannotRead(path, error);
  }
}

/**
 * Tells whether there is anything at a path, even a link that leads nowhere.
 *
 * @throws SkeinError `disk-failed` where that can't be determined
 */
export async function isAnything(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw cannotRead(path, error);
  }
}

/**
 * Renames a damaged file, so that a new one can take its place and nothing is lost. Returns its new path.
 *
 * @throws SkeinError `disk-failed` when it can't be renamed
 */
export async function setAside(path: string, nowMs: number = Date.now()): Promise<string> {
  const aside = `${path}.damaged-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}`;
  try {
    await renameFile(path, aside);
    return aside;
  } catch (error) {
    const message = `${path} is damaged and can't be set aside${codeOf(error)}; move it away`;
    throw new SkeinError('disk-failed', message, { cause: error });
  }
}

function cannotRead(path: string, error: unknown): SkeinError {
  const message = `can't read ${path}${codeOf(error)}; check its owner, its mode and the disk`;
  return new SkeinError('disk-failed', message, { cause: error });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
}

async function isLink(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isSymbolicLink() === true;
}
