import { createCipheriv, createDecipheriv, randomBytes, scrypt, type ScryptOptions } from 'node:crypto';

import { checkJson, SkeinError } from '@skein/protocol';
import { z } from 'zod';

/** Costs of scrypt by OWASP's recommendation: 128 MiB and a few tenths of a second for each guess. */
const cost = { N: 2 ** 17, r: 8, p: 1 } as const;
const maxCost = { N: 2 ** 20, r: 16, p: 4 } as const;
const cipher = 'aes-256-gcm';
const [keyBytes, saltBytes, nonceBytes, tagBytes] = [32, 16, 12, 16];

const base64 = z.base64().transform((text) => Buffer.from(text, 'base64'));
const sealedSchema = z.object({
  sealed: z.literal('scrypt-aes-256-gcm'),
  N: z.number().int().min(2).max(maxCost.N),
  r: z.number().int().min(1).max(maxCost.r),
  p: z.number().int().min(1).max(maxCost.p),
  salt: base64,
  nonce: base64.refine((bytes) => bytes.byteLength === nonceBytes, { message: `must be ${nonceBytes} bytes` }),
  tag: base64.refine((bytes) => bytes.byteLength === tagBytes, { message: `must be ${tagBytes} bytes` }),
  text: base64,
});

/** Encrypts bytes with a passphrase into a JSON text that {@link unseal} reads. */
export async function seal(bytes: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const [salt, nonce] = [randomBytes(saltBytes), randomBytes(nonceBytes)];
  const encryption = createCipheriv(cipher, await keyOf(passphrase, salt, cost), nonce);
  const text = Buffer.concat([encryption.update(bytes), encryption.final()]);
  const [saltText, nonceText, tag] = [salt, nonce, encryption.getAuthTag()].map((part) => part.toString('base64'));
  const sealed = { sealed: 'scrypt-aes-256-gcm', ...cost, salt: saltText, nonce: nonceText, tag };
  return Buffer.from(`${JSON.stringify({ ...sealed, text: text.toString('base64') })}\n`);
}

/** Tells whether bytes are the result of {@link seal}. */
export function isSealed(bytes: Uint8Array): boolean {
  return parse(bytes) !== undefined;
}

/**
 * Decrypts the result of {@link seal}.
 *
 * @throws SkeinError `invalid-request` for a wrong passphrase, and for bytes that were changed
 */
export async function unseal(bytes: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const sealed = parse(bytes);
  if (sealed === undefined) throw new SkeinError('invalid-request', 'not encrypted with a passphrase');
  const { salt, nonce, tag, text, N, r, p } = sealed;
  const decryption = createDecipheriv(cipher, await keyOf(passphrase, salt, { N, r, p }), nonce);
  decryption.setAuthTag(tag);
  try {
    return Uint8Array.from(Buffer.concat([decryption.update(text), decryption.final()]));
  } catch (error) {
    throw new SkeinError('invalid-request', 'the passphrase is wrong, or the file was changed', { cause: error });
  }
}

function parse(bytes: Uint8Array): z.output<typeof sealedSchema> | undefined {
  // Bytes that are no JSON object are told apart without parsing them.
  if (bytes[0] !== '{'.charCodeAt(0)) return undefined;
  const checked = checkJson(sealedSchema, bytes);
  return checked.ok ? checked.data : undefined;
}

async function keyOf(passphrase: string, salt: Uint8Array, options: ScryptOptions): Promise<Buffer> {
  const derived = Promise.withResolvers<Buffer>();
  // Twice what scrypt needs, which is 128 N r bytes; Node's own bound is lower.
  const maxmem = 256 * (options.N ?? 1) * (options.r ?? 1);
  scrypt(passphrase.normalize('NFKC'), salt, keyBytes, { ...options, maxmem }, (error, key) => {
    if (error === null) derived.resolve(key);
    else derived.reject(error);
  });
  return await derived.promise;
}
