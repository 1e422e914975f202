import type { ModelShape, PlannedSpec } from '@skein/protocol';

import type { PlannedLink } from './links.ts';

/** Returns the bytes of one row on its way from stage to stage. */
export function rowBytes({ hiddenSize }: Pick<ModelShape, 'hiddenSize'>, { activations }: PlannedSpec): number {
  return hiddenSize * (activations === 'f16' ? 2 : 4);
}

/**
 * Returns the time of a micro-batch's way over a link, in nanoseconds: the pipes at both ends, half a round trip between
 * the peers, which has their encryption and framing in it, and the bytes.
 */
export function hopNs(link: PlannedLink, bytes: number): number {
  return (link.pipesMs + link.roundTripMs / 2) * 1e6 + occupancyNs(link, bytes);
}

/** Returns the time for which a micro-batch keeps a link from others, in nanoseconds. */
export function occupancyNs({ bytesPerSecond }: PlannedLink, bytes: number): number {
  return (bytes / bytesPerSecond) * 1e9;
}
