import { join } from 'node:path';

import { isIdentityEncrypted, loadIdentity, type Identity, type KeyOptions } from '@skein/mesh';
import { hasCode, SkeinError } from '@skein/protocol';

/**
 * Loads the identity of a data directory, and makes one when there is none.
 *
 * @throws SkeinError `invalid-request`, which names file and flag, when the passphrase is wrong; otherwise as
 * `loadIdentity` does
 */
export async function ownIdentity(directory: string, { passphrase }: KeyOptions): Promise<Identity> {
  try {
    return await loadIdentity(directory, { passphrase });
  } catch (error) {
    if (passphrase === undefined || !hasCode(error, 'invalid-request')) throw error;
    throw new SkeinError(
      'invalid-request',
      `can't decrypt ${join(directory, 'identity.key')}: the passphrase is wrong, or the file was changed; name the file that holds the right one with --passphrase-file or SKEIN_PASSPHRASE_FILE`,
      { cause: error },
    );
  }
}

/**
 * Checks that a passphrase opens the keys of a data directory. Makes nothing.
 *
 * @throws SkeinError as {@link ownIdentity} does when the keys need another passphrase
 */
export async function assertPassphrase(directory: string, options: KeyOptions): Promise<void> {
  if (await isIdentityEncrypted(directory)) await ownIdentity(directory, options);
}
