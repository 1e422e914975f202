import { z } from 'zod';

import { bytesSchema } from '../codec/bytes-schema.ts';
import { SkeinError } from '../errors/skein-error.ts';
import { deploymentIdSchema } from '../ids.ts';

/** Bounds on what leads tell of the prefixes in their caches. */
export const prefixLimits = Object.freeze({
  keyBytes: 32,
  /** Bytes of a prompt that each digest covers beyond the one before. */
  blockBytes: 512,
  /** An integer that numbers hold exactly. Two blocks of a million are alike by chance in one of 500 cases. */
  digestBytes: 6,
  /** Most digests that one message adds, and most that it removes. */
  maxChange: 1024,
  /** Most digests that one lead holds: 8 MiB of text. */
  maxHeld: 16_384,
  /** Most digests that one lead may change in a second, beyond {@link prefixLimits.maxHeld} at once. */
  maxPerSecond: 8192,
  /** Pause between two messages of a lead whose cache does not change, in milliseconds. */
  heartbeatMs: 10_000,
});

/** A router asks a lead for the prefixes that its cache holds. */
export const prefixesAskSchema = z.object({
  type: z.literal('prefixes-ask'),
  deployment: deploymentIdSchema,
  /** Key for the digests, where the lead has none yet. Leads take one from coordinators alone. */
  key: bytesSchema({ exactly: prefixLimits.keyBytes }).optional(),
});
export type PrefixesAsk = z.infer<typeof prefixesAskSchema>;

/** The lead's answers: first the key of its digests, then what it holds, and each change of that. */
export const prefixesEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('prefixes-begin'), key: bytesSchema({ exactly: prefixLimits.keyBytes }) }),
  /** Payload: the digests, those that were added before those that were removed. */
  z.object({
    type: z.literal('prefixes-change'),
    added: z.number().int().nonnegative().max(prefixLimits.maxChange),
    removed: z.number().int().nonnegative().max(prefixLimits.maxChange),
  }),
]);
export type PrefixesEvent = z.infer<typeof prefixesEventSchema>;

/** Digests of blocks that a cache holds since, and of those that it holds no more. */
export interface PrefixDelta {
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/** Packs the digests of a `prefixes-change`. */
export function packDigests({ added, removed }: PrefixDelta): Uint8Array {
  const { digestBytes } = prefixLimits;
  const bytes = new Uint8Array(digestBytes * (added.length + removed.length));
  const view = new DataView(bytes.buffer);
  for (const [index, digest] of [...added, ...removed].entries()) {
    view.setUint16(index * digestBytes, Math.floor(digest / 2 ** 32));
    view.setUint32(index * digestBytes + 2, digest % 2 ** 32);
  }
  return bytes;
}

/**
 * Unpacks the digests of a `prefixes-change`.
 *
 * @throws SkeinError `protocol-violation` when there are not as many as it says
 */
export function unpackDigests(
  { added, removed }: { readonly added: number; readonly removed: number },
  payload: Uint8Array,
): PrefixDelta {
  const { digestBytes } = prefixLimits;
  if (payload.byteLength !== digestBytes * (added + removed)) {
    throw new SkeinError('protocol-violation', `${added + removed} digests are not in ${payload.byteLength} bytes`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const digestAt = (index: number): number =>
    view.getUint16(index * digestBytes) * 2 ** 32 + view.getUint32(index * digestBytes + 2);
  return {
    added: Array.from({ length: added }, (_, index) => digestAt(index)),
    removed: Array.from({ length: removed }, (_, index) => digestAt(added + index)),
  };
}
