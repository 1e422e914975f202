import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

import { SkeinError } from '@skein/protocol';

import { peerIdOfPublicKey, publicKeyBytes } from '../transport/keys.ts';
import type { Identity } from './identity.ts';

/** Prefix of the 32 bytes of an Ed25519 key in PKCS #8; that in a SubjectPublicKeyInfo follows (RFC 8410). */
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const keyBytes = 32;

/** Returns the private key of an identity as Node's crypto takes it. */
export function signingKeyOf({ privateKey }: Identity): KeyObject {
  const key = Buffer.concat([privatePrefix, privateKey.raw.subarray(0, keyBytes)]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

/**
 * Returns the public key that a peer id is made of.
 *
 * @throws SkeinError `invalid-request` for text that is no id of a member
 */
export function publicKeyOf(peerId: string): KeyObject {
  const raw = publicKeyBytes(peerId);
  if (raw === undefined) {
    throw new SkeinError(
      'invalid-request',
      `${peerId.slice(0, 128)} is no peer id; \`skein status --json\` shows them`,
    );
  }
  return createPublicKey({ key: Buffer.concat([publicPrefix, raw]), format: 'der', type: 'spki' });
}

/** Returns the peer id of the member with this Ed25519 public key. */
export function peerIdOf(key: KeyObject): string {
  const raw = key.export({ format: 'der', type: 'spki' }).subarray(-keyBytes);
  return peerIdOfPublicKey(raw);
}
