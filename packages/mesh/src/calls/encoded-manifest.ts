import { createHash } from 'node:crypto';

import { decodeValue, modelManifestSchema, parseHeader, SkeinError, type ModelManifest } from '@skein/protocol';

/** A manifest with the bytes of which its digest is. */
export interface EncodedManifest {
  readonly manifest: ModelManifest;
  /** The encoded manifest, as it lies on the disk and goes to other peers. */
  readonly encoded: Uint8Array;
  /** SHA-256 of `encoded`. */
  readonly digest: string;
}

/**
 * Decodes a manifest. Checks the digest first, so that nothing else than the expected manifest is decoded.
 *
 * @throws SkeinError `hash-mismatch` for another digest, `protocol-violation` when the bytes are no manifest
 */
export function decodeManifest(encoded: Uint8Array, expected: { readonly digest?: string } = {}): EncodedManifest {
  const digest = createHash('sha256').update(encoded).digest('hex');
  if (expected.digest !== undefined && digest !== expected.digest) {
    throw new SkeinError('hash-mismatch', `expected the manifest ${expected.digest}, got ${digest}`, {
      details: { expected: expected.digest, actual: digest },
    });
  }
  return { manifest: parseHeader(modelManifestSchema, decodeValue(encoded)), encoded, digest };
}
