import { readdir } from 'node:fs/promises';

import { hasCode, isSkeinError, SkeinError } from '@skein/protocol';

const namePattern = /^\d{6}\.jsonl$/;

/** Returns the name of the file with this number, from 1. In the order of their names, the files are one log. */
export function fileName(number: number): string {
  return `${String(number).padStart(6, '0')}.jsonl`;
}

/** Returns the number of the file with this name. */
export function fileNumber(name: string): number {
  return Number.parseInt(name, 10);
}

/**
 * Lists the names of a log's files, in order. None where the directory is missing.
 *
 * @throws SkeinError `disk-failed` when the directory can't be read
 */
export async function listFiles(directory: string): Promise<readonly string[]> {
  return await onDisk(directory, async () => {
    try {
      return (await readdir(directory)).filter((name) => namePattern.test(name)).sort();
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    }
  });
}

/** Makes the error `not-found` for a directory that holds no log. */
export function noLog(directory: string): SkeinError {
  const fix = 'machines that coordinate (`skein up`) write one; name its data directory with --data';
  return new SkeinError('not-found', `there is no audit log in ${directory}; ${fix}`);
}

/**
 * Runs an action on a log's files and returns its result.
 *
 * @throws SkeinError `disk-failed`, with the directory and the reason, when the system refuses
 */
export async function onDisk<Result>(directory: string, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (isSkeinError(error)) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason';
    const message = `can't use the audit log in ${directory} (${code}); check free space and permissions there`;
    throw new SkeinError('disk-failed', message, { cause: error });
  }
}
