import { readFile } from 'node:fs/promises';

import { SkeinError } from '@skein/protocol';

/**
 * Reads a passphrase, the first line of a file.
 *
 * @throws SkeinError `invalid-request` when the file can't be read or its first line is empty
 */
export async function readPassphrase(path: string): Promise<string> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    throw new SkeinError('invalid-request', `can't read the passphrase in ${path}; check its path and mode`, {
      cause: error,
    });
  }
  const [passphrase = ''] = content.split(/\r?\n/);
  if (passphrase !== '') return passphrase;
  throw new SkeinError('invalid-request', `${path} has no passphrase in its first line`);
}
