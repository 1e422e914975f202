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

/** The identity of a member: an Ed25519 key and the peer id made from it. */
export interface Identity {
  readonly peerId: string;
  readonly privateKey: PrivateKey;
}

const fileName = 'identity.key';

/** The storage of a key on the disk. */
export interface KeyOptions {
  /**
   * Passphrase that encrypts it (scrypt and AES-256-GCM). A key in the clear is encrypted when it is read. Default: the
   * key stays in the clear, in a file of mode 0600.
   */
  readonly passphrase?: string | undefined;
}

/**
 * Loads the identity kept in `directory` (file `identity.key`, mode 0600), and creates one when there is none.
 *
 * @throws SkeinError `disk-failed` when the file is damaged or other users can read it, `invalid-request` without the
 * passphrase that it needs
 */
export async function loadIdentity(directory: string, options: KeyOptions = {}): Promise<Identity> {
  return await loadOrCreateKey(join(directory, fileName), options);
}

/**
 * Tells whether the identity kept in `directory` is encrypted. False where there is none.
 *
 * @throws SkeinError `disk-failed` when other users can read it
 */
export async function isIdentityEncrypted(directory: string): Promise<boolean> {
  const stored = await readSecretFile(join(directory, fileName));
  return stored !== undefined && isSealed(stored);
}

/**
 * Reads the key in a file; undefined when there is none.
 *
 * @throws SkeinError as {@link loadIdentity} does
 */
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

/**
 * Loads the key in a file, and creates one when there is none.
 *
 * @throws SkeinError as {@link loadIdentity} does
 */
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

/**
 * Saves a key in a file, unless there is one: returns false then.
 *
 * @throws SkeinError `disk-failed` when it can't be written
 */
export async function createKeyFile(path: string, key: Identity, { passphrase }: KeyOptions = {}): Promise<boolean> {
  const bytes = encodePrivateKey(key.privateKey);
  return await createSecretFile(path, passphrase === undefined ? bytes : await seal(bytes, passphrase));
}

/** Makes a new identity that is kept nowhere. */
export async function createIdentity(): Promise<Identity> {
  return identityOf(await generatePrivateKey());
}

/** Encodes a key, for a backup. */
export function encodeKey({ privateKey }: Identity): Uint8Array {
  return encodePrivateKey(privateKey);
}

/**
 * Decodes a key.
 *
 * @param path its file, for errors
 * @throws SkeinError `disk-failed` for bytes that are no Ed25519 key
 */
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
