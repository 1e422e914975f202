import { isSkeinError, SkeinError } from '@skein/protocol';

/**
 * Runs an action on a file and returns its result.
 *
 * @throws SkeinError `disk-failed`, with the directory and the reason, when the system refuses; the action's own
 * SkeinErrors unchanged
 */
export async function onDisk<Result>(directory: string, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (isSkeinError(error)) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason';
    const isFull = code === 'ENOSPC' || code === 'EDQUOT';
    const message = isFull
      ? `no room left in ${directory}; free some and try again`
      : `cannot write to ${directory} (${code}); check its permissions and the disk`;
    throw new SkeinError('disk-failed', message, { cause: error });
  }
}
