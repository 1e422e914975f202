import {
  generateKeyPair,
  privateKeyFromProtobuf,
  privateKeyFromRaw,
  privateKeyToProtobuf,
  publicKeyFromRaw,
} from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey, Ed25519PublicKey } from '@libp2p/interface';
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id';

/** An Ed25519 key. The peer id of its owner holds its public part, so everyone that knows the id can check signatures. */
export interface PrivateKey {
  /** 32 bytes that it is made of, then the 32 bytes of its public key. */
  readonly raw: Uint8Array;
  /** Returns a signature of 64 bytes. */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

const publicKeyOffset = 32;

/** Makes a new key. */
export async function generatePrivateKey(): Promise<PrivateKey> {
  return await generateKeyPair('Ed25519');
}

/** Encodes a key as it lies in files: libp2p's protobuf. */
export function encodePrivateKey(key: PrivateKey): Uint8Array {
  return privateKeyToProtobuf(toLibp2pKey(key));
}

/**
 * Decodes the result of {@link encodePrivateKey}.
 *
 * @throws Error for other bytes
 */
export function decodePrivateKey(bytes: Uint8Array): PrivateKey {
  return assertEd25519(privateKeyFromProtobuf(bytes));
}

/** Returns the peer id of a key's owner. */
export function peerIdOfPrivateKey({ raw }: PrivateKey): string {
  return peerIdOfPublicKey(raw.subarray(publicKeyOffset));
}

/** Returns the peer id that the 32 bytes of a public key make. */
export function peerIdOfPublicKey(bytes: Uint8Array): string {
  return peerIdFromPublicKey(publicKeyFromRaw(bytes)).toString();
}

/** Returns the 32 bytes of the public key in a peer id; undefined for text that is no id of an Ed25519 key. */
export function publicKeyBytes(peerId: string): Uint8Array | undefined {
  return publicKeyOf(peerId)?.raw;
}

/** Tells whether the owner of a peer id has signed a message. False for text that is no peer id. */
export async function isSignedBy(peerId: string, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  try {
    return (await publicKeyOf(peerId)?.verify(message, signature)) === true;
  } catch {
    return false;
  }
}

/** Returns a key as libp2p takes it. */
export function toLibp2pKey({ raw }: PrivateKey): Ed25519PrivateKey {
  return assertEd25519(privateKeyFromRaw(raw));
}

function assertEd25519(key: ReturnType<typeof privateKeyFromRaw>): Ed25519PrivateKey {
  if (key.type !== 'Ed25519') throw new Error(`a key of type ${key.type} in place of Ed25519`);
  return key;
}

function publicKeyOf(peerId: string): Ed25519PublicKey | undefined {
  try {
    const key = peerIdFromString(peerId).publicKey;
    return key?.type === 'Ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}
