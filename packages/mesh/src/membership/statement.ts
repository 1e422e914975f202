import { decodeValue, encodeValue, parseHeader, SkeinError, type Signed } from '@skein/protocol';
import type { z } from 'zod';

import { isSignedBy, type PrivateKey } from '../transport/keys.ts';

/** Signs a value. The context keeps a signature of one kind of statement from being used as one of another. */
export async function signStatement(context: string, value: object, key: PrivateKey): Promise<Signed> {
  const bytes = encodeValue(value);
  return { bytes, signature: Uint8Array.from(await key.sign(signedBytes(context, bytes))) };
}

/**
 * Opens a statement that the owner of a peer id has signed, and returns its value.
 *
 * @param signer peer id of the member that must have signed; its public key lies in it
 * @throws SkeinError `protocol-violation` for any other statement
 */
export async function openStatement<Schema extends z.ZodType>(
  context: string,
  schema: Schema,
  { signed, signer }: { readonly signed: Signed; readonly signer: string },
): Promise<z.output<Schema>> {
  // The signature first: what nobody vouches for is not even decoded.
  if (!(await isSignedBy(signer, signedBytes(context, signed.bytes), signed.signature))) {
    throw new SkeinError('protocol-violation', `a statement is not signed by ${signer}`);
  }
  return parseHeader(schema, decodeValue(signed.bytes));
}

/** Copies a signed statement, so that it keeps no larger received chunk alive. */
export function ownedCopy({ bytes, signature }: Signed): Signed {
  return { bytes: Uint8Array.from(bytes), signature: Uint8Array.from(signature) };
}

function signedBytes(context: string, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(context), bytes]);
}
