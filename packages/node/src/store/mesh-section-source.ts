import { Holders, type Mesh } from '@skein/mesh';
import { asSkeinError, bytesAnswerSchema, methods, parseHeader, SkeinError, type Section } from '@skein/protocol';

import type { SectionSource } from '../stage-file/index.ts';
import { Delivery } from './delivery.ts';
import { coalesce, dropFront, totalBytes } from './ranges.ts';
import type { ByteRange } from './read-ranges.ts';
import { TrustedHolders } from './trusted-holders.ts';

export interface MeshSectionSourceOptions {
  /** SHA-256 of the model. */
  readonly model: string;
  /** Peer ids of the holders, in the order in which to try them. */
  readonly holders: readonly string[];
  readonly mesh: Pick<Mesh, 'cards' | 'open'>;
  /** Longest wait for a holder to take the request or send the next chunk, in milliseconds. Default: 15,000. */
  readonly chunkTimeoutMs?: number | undefined;
}

/** A source of sections that come over the mesh. */
export interface MeshSectionSource extends SectionSource {
  /** Bytes that came so far, over all reads. */
  readonly fetchedBytes: number;
}

/**
 * Makes a source that streams sections of a model from peers that hold it. It asks for adjacent sections as one range.
 * When a holder is lost, stalls or sends nonsense, the next one goes on at the very byte; a holder that was of use is
 * asked again later. Content is not checked here: the reader knows the hashes, and a holder whose section it rejects is
 * not asked again.
 *
 * Reads throw SkeinError `model-unreachable`, with every holder's reason, or `aborted`.
 */
export function meshSectionSource(options: MeshSectionSourceOptions): MeshSectionSource {
  let fetchedBytes = 0;
  const trust = new TrustedHolders(options.holders);

  async function* read(sections: readonly Section[], delivery: Delivery, signal: AbortSignal | undefined) {
    const holders = new Holders(options.model, trust.trusted, options.mesh.cards.snapshot());
    for (const liar of trust.rejected) holders.failed(liar, wrongContent(), { wasUseful: false });
    let missing = coalesce(sections);
    while (missing.length > 0) {
      const holder = holders.next();
      let received = 0;
      try {
        for await (const chunk of readFrom(holder, missing, { ...options, signal })) {
          received += chunk.byteLength;
          fetchedBytes += chunk.byteLength;
          delivery.record(holder, chunk.byteLength);
          yield chunk;
        }
      } catch (error) {
        if (signal?.aborted === true) throw asSkeinError(signal.reason, 'aborted');
        holders.failed(holder, error, { wasUseful: received > 0 });
      }
      missing = dropFront(missing, received);
    }
  }

  return {
    get fetchedBytes() {
      return fetchedBytes;
    },
    read(sections, { signal }) {
      const delivery = new Delivery(sections);
      return {
        [Symbol.asyncIterator]: () => read(sections, delivery, signal),
        reject: (section) => trust.blame(delivery.sendersOf(section)),
      };
    },
  };
}

async function* readFrom(
  holder: string,
  ranges: readonly ByteRange[],
  options: MeshSectionSourceOptions & { readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const { model, mesh, signal, chunkTimeoutMs = 15_000 } = options;
  const wait = { signal, timeoutMs: chunkTimeoutMs };
  signal?.throwIfAborted();
  await using stream = await mesh.open(holder, methods.bytes, { signal });
  await stream.write({ type: 'bytes-request', model, ranges }, undefined, wait);
  await stream.end(wait);
  let missingBytes = totalBytes(ranges);
  for (let frame = await stream.read(wait); frame !== undefined; frame = await stream.read(wait)) {
    const answer = parseHeader(bytesAnswerSchema, frame.header);
    switch (answer.type) {
      case 'model-bytes':
        // An empty chunk would reset the deadline without getting us further.
        if (frame.payload.byteLength === 0 || frame.payload.byteLength > missingBytes) throw wrongLength();
        missingBytes -= frame.payload.byteLength;
        yield frame.payload;
        // Reads of what has arrived already do not look at it.
        signal?.throwIfAborted();
        break;
      case 'bytes-end':
        if (missingBytes > 0) throw wrongLength();
        // Reads the clean end, so that the stream is not reset.
        await stream.read(wait);
        return;
    }
  }
  if (missingBytes > 0) throw new SkeinError('peer-lost', 'ended the stream early');
}

function wrongContent(): SkeinError {
  return new SkeinError('hash-mismatch', "sent bytes that are not the model's; pull it again there");
}

function wrongLength(): SkeinError {
  return new SkeinError('protocol-violation', 'sent another number of bytes than was asked for');
}
