import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** The purpose of a signature, put before the signed text: the key signs other things, too. */
export type SignatureContext = 'skein-audit-1:' | 'skein-audit-head-1:';

export interface Signing {
  readonly context: SignatureContext;
  readonly key: KeyObject;
}

const signaturePattern = /^,"signature":"([A-Za-z0-9+/]{86}==)"$/;
const signatureLength = ',"signature":""'.length + 88;

/** Appends to a JSON object that is not closed yet the signature of its text, as its last field. */
export function withSignature(text: string, { context, key }: Signing): string {
  return `${text},"signature":"${sign(null, Buffer.from(context + text), key).toString('base64')}"`;
}

/** Tells whether a text ends in a signature that the key has made of all before it. */
export function isSigned(text: Uint8Array, { context, key }: Signing): boolean {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  const signature = signaturePattern.exec(bytes.toString('latin1', Math.max(0, bytes.length - signatureLength)))?.[1];
  if (signature === undefined) return false;
  const raw = Buffer.from(signature, 'base64');
  // Base64 has spare bits at the end, which would let two texts mean one signature.
  if (raw.toString('base64') !== signature) return false;
  return verify(null, Buffer.concat([Buffer.from(context), bytes.subarray(0, -signatureLength)]), key, raw);
}

/** Encodes the public half of a key as the log names it. */
export function encodeKey(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** Decodes a public key as the log names it; undefined for text that is no Ed25519 key. */
export function decodeKey(text: string): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(text, 'base64'), type: 'spki', format: 'der' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}
