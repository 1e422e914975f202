import { join } from 'node:path';

import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { SkeinError } from '@skein/protocol';

import { createSecretFile, readSecretFile } from './secret-file.ts';

/** Who a member is: an Ed25519 key and the peer id made from it. */
export interface Identity {
  readonly peerId: string;
  readonly privateKey: Ed25519PrivateKey;
}

const fileName = 'identity.key';

/**
 * The identity kept in `directory` (file `identity.key`, mode 0600), created when there is none. Throws `disk-failed`
 * when the file is damaged or other users can read it.
 */
export async function loadIdentity(directory: string): Promise<Identity> {
  const path = join(directory, fileName);
  const stored = await findIdentity(directory);
  if (stored !== undefined) return stored;
  const identity = await createIdentity();
  if (await createSecretFile(path, privateKeyToProtobuf(identity.privateKey))) return identity;
  // Another process was first: its identity is ours.
  const winner = await readSecretFile(path);
  if (winner === undefined) throw new SkeinError('disk-failed', `${path} appeared and disappeared; try again`);
  return decode(winner, path);
}

/** The identity kept in `directory`; undefined when there is none. Throws as {@link loadIdentity} does. */
export async function findIdentity(directory: string): Promise<Identity | undefined> {
  const path = join(directory, fileName);
  const stored = await readSecretFile(path);
  return stored === undefined ? undefined : decode(stored, path);
}

/** A new identity that is kept nowhere. */
export async function createIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'));
}

function decode(bytes: Uint8Array, path: string): Identity {
  const fix = `${path} is damaged; restore it from a backup, or move it away to get a new identity`;
  let key;
  try {
    key = privateKeyFromProtobuf(bytes);
  } catch (error) {
    throw new SkeinError('disk-failed', fix, { cause: error });
  }
  if (key.type !== 'Ed25519') throw new SkeinError('disk-failed', fix);
  return identityOf(key);
}

function identityOf(privateKey: Ed25519PrivateKey): Identity {
  return { peerId: peerIdFromPrivateKey(privateKey).toString(), privateKey };
}
