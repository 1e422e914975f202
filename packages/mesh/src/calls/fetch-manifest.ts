import { asSkeinError, manifestAnswerSchema, methods, parseHeader, SkeinError } from '@skein/protocol';

import type { Mesh } from '../mesh.ts';
import { decodeManifest, type EncodedManifest } from './encoded-manifest.ts';
import { Holders } from './holders.ts';

export interface ManifestRequest {
  /** SHA-256 of the model. */
  readonly model: string;
  /** SHA-256 of the wanted manifest, encoded. */
  readonly digest: string;
  /** Peer ids of the holders, in the order in which to try them. */
  readonly holders: readonly string[];
  readonly mesh: Pick<Mesh, 'cards' | 'open'>;
  readonly signal?: AbortSignal | undefined;
}

/** Longest wait for a holder, in milliseconds. */
const timeoutMs = 15_000;

/**
 * Fetches a model's manifest from the first holder that has the wanted one.
 *
 * @throws SkeinError `model-unreachable` with every holder's reason, `aborted`
 */
export async function fetchManifest(request: ManifestRequest): Promise<EncodedManifest> {
  const holders = new Holders(request.model, request.holders, request.mesh.cards.snapshot());
  for (;;) {
    const holder = holders.next();
    try {
      request.signal?.throwIfAborted();
      return await askHolder(holder, request);
    } catch (error) {
      if (request.signal?.aborted === true) throw asSkeinError(request.signal.reason, 'aborted');
      holders.failed(holder, error, { wasUseful: false });
    }
  }
}

async function askHolder(holder: string, { model, digest, mesh, signal }: ManifestRequest): Promise<EncodedManifest> {
  await using stream = await mesh.open(holder, methods.manifest, { signal });
  await stream.write({ type: 'manifest-request', model }, undefined, { signal, timeoutMs });
  await stream.end({ signal, timeoutMs });
  const frame = await stream.read({ signal, timeoutMs });
  if (frame === undefined) throw new SkeinError('peer-lost', 'ended the stream without an answer');
  parseHeader(manifestAnswerSchema, frame.header);
  const found = decodeManifest(frame.payload, { digest });
  if (found.manifest.model === model) return found;
  throw new SkeinError('protocol-violation', 'answered with the manifest of another model');
}
