import { join } from 'node:path';

import { isIdentityEncrypted, loadIdentity, type Identity, type KeyOptions } from '@skein/mesh';
import { hasCode, SkeinError } from '@skein/protocol';

/** The identity of a data directory, made when there is none. Throws as `loadIdentity` does, and names file and flag. */
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

/** Throws as {@link ownIdentity} does where the keys need another passphrase. Makes nothing. */
export async function assertPassphrase(directory: string, options: KeyOptions): Promise<void> {
  if (await isIdentityEncrypted(directory)) await ownIdentity(directory, options);
}
