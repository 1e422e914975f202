import type { KeyObject } from 'node:crypto';

import { listFiles, noLog } from './files.ts';
import { readHead } from './head.ts';
import { readLines } from './lines.ts';
import { LogCheck } from './log-check.ts';
import type { Verification } from './verification.ts';

export interface VerifyOptions {
  /** Public key of the coordinator whose log this must be. Default: the key that the log names. */
  readonly key?: KeyObject | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a whole log and finds where it is not as its coordinator wrote it. Holds one line at a time, and may run while
 * the coordinator does.
 *
 * @throws SkeinError `not-found` where there is no log, `disk-failed` when it can't be read
 */
export async function verifyAuditLog(directory: string, { key, signal }: VerifyOptions = {}): Promise<Verification> {
  // The head first: what is written from now on is behind it.
  const head = await readHead(directory);
  const files = await listFiles(directory);
  if (files.length === 0 && head === undefined) throw noLog(directory);
  const check = new LogCheck({ head, key });
  for (const file of files) {
    const isLastFile = file === files.at(-1);
    for await (const line of readLines(directory, { file }, { signal })) check.take(line, { isLastFile });
  }
  return check.finish(files);
}
