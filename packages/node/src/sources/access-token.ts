import { inspect } from 'node:util';

import { readSecretFile } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

/** Characters of a header's value that are neither blank nor control characters. */
const tokenPattern = /^[\x21-\x7e]{1,1024}$/;

/** A token that opens private and gated repositories. It prints as `[redacted]`, wherever it is printed. */
export class AccessToken {
  readonly #value: string;

  /**
   * @param value the token, without blanks around it
   * @param origin where it comes from, for the error: the name of a variable, or a path
   * @throws SkeinError `invalid-request`, without the token, for a text that can't be one
   */
  constructor(value: string, origin: string) {
    if (!tokenPattern.test(value)) {
      throw new SkeinError('invalid-request', `${origin} is not an access token: it has to be one word`);
    }
    this.#value = value;
  }

  /** Returns the header that carries the token. */
  get authorization(): string {
    return `Bearer ${this.#value}`;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return '[redacted]';
  }
}

/**
 * Reads an access token, the first line of a file that only its owner may read.
 *
 * @throws SkeinError `invalid-request` when there is none; `disk-failed` when others can read the file too
 */
export async function readAccessToken(path: string): Promise<AccessToken> {
  const content = await readSecretFile(path);
  if (content === undefined) {
    throw new SkeinError('invalid-request', `there is no access token in ${path}; write it there, with mode 0600`);
  }
  const [line = ''] = Buffer.from(content).toString('utf8').split(/\r?\n/);
  return new AccessToken(line.trim(), path);
}
