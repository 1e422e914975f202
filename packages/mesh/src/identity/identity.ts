import { join } from 'node:path';

import { SkeinError } from '@skein/protocol';

import {
  decodePrivateKey,
  encodePrivateKey,
  generatePrivateKey,
  peerIdOfPrivateKey,
  type PrivateKey,
} from '../transport/keys.ts';
import { isSealed, seal, unseal } from './sealing.ts';
import { createSecretFile, readSecretFile, replaceSecretFile } from './secret-file.ts';

/** Who a member is: an Ed25519 key and the peer id made from it. */
export interface Identity {
  readonly peerId: string;
  readonly privateKey: PrivateKey;
}

const fileName = 'identity.key';

/** How a key lies on the disk. */
export interface KeyOptions {
  /**
   * Encrypts it (scrypt and AES-256-GCM). One that was there in the clear is encrypted when it is read. Left out: a file of
   * mode 0600 has to do.
   */
  readonly passphrase?: string | undefined;
}

/**
 * The identity kept in `directory` (file `identity.key`, mode 0600), created when there is none. Throws `disk-failed`
 * when the file is damaged or other users can read it, `invalid-request` without the passphrase that it needs.
 */
export async function loadIdentity(directory: string, options: KeyOptions = {}): Promise<Identity> {
  return await loadOrCreateKey(join(directory, fileName), options);
}

/** Whether the identity kept in `directory` is encrypted. False where there is none. */
export async function isIdentityEncrypted(directory: string): Promise<boolean> {
  const stored = await readSecretFile(join(directory, fileName));
  return stored !== undefined && isSealed(stored);
}

/** The key in a file; undefined when there is none. Throws as {@link loadIdentity} does. */
export async function readKey(path: string, { passphrase }: KeyOptions = {}): Promise<Identity | undefined> {
  const stored = await readSecretFile(path);
  if (stored === undefined) return undefined;
  if (!isSealed(stored)) {
    const key = decodeKey(stored, path);
    if (passphrase !== undefined) await replaceSecretFile(path, await seal(stored, passphrase));
    return key;
  }
  if (passphrase === undefined) {
    throw new SkeinError(
      'invalid-request',
      `${path} is encrypted; name the file that holds its passphrase with --passphrase-file or SKEIN_PASSPHRASE_FILE`,
    );
  }
  return decodeKey(await unseal(stored, passphrase), path);
}

/** The key in a file, created when there is none. */
export async function loadOrCreateKey(path: string, options: KeyOptions = {}): Promise<Identity> {
  const stored = await readKey(path, options);
  if (stored !== undefined) return stored;
  const identity = await createIdentity();
  if (await createKeyFile(path, identity, options)) return identity;
  // Another process was first: its identity is ours.
  const winner = await readKey(path, options);
  if (winner === undefined) throw new SkeinError('disk-failed', `${path} appeared and disappeared; try again`);
  return winner;
}

/** Keeps a key in a file, unless there is one. False when there is. */
export async function createKeyFile(path: string, key: Identity, { passphrase }: KeyOptions = {}): Promise<boolean> {
  const bytes = encodePrivateKey(key.privateKey);
  return await createSecretFile(path, passphrase === undefined ? bytes : await seal(bytes, passphrase));
}

/** A new identity that is kept nowhere. */
export async function createIdentity(): Promise<Identity> {
  return identityOf(await generatePrivateKey());
}

/** The bytes of a key, for a backup. */
export function encodeKey({ privateKey }: Identity): Uint8Array {
  return encodePrivateKey(privateKey);
}

/** Throws `disk-failed` for what is no key of ours; `path` says where it was found. */
export function decodeKey(bytes: Uint8Array, path: string): Identity {
  try {
    return identityOf(decodePrivateKey(bytes));
  } catch (error) {
    const fix = `${path} is damaged; restore it from a backup, or move it away to get a new one`;
    throw new SkeinError('disk-failed', fix, { cause: error });
  }
}

function identityOf(privateKey: PrivateKey): Identity {
  return { peerId: peerIdOfPrivateKey(privateKey), privateKey };
}
