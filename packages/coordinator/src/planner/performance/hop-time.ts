import type { ModelShape, PlannedSpec } from '@skein/protocol';

import type { PlannedLink } from './links.ts';

/** Time that a frame takes from one engine to the next beside the network's: two pipes, two daemons, encryption. */
const frameNs = 150_000;

/** Returns the bytes of one row on its way from stage to stage. */
export function rowBytes({ hiddenSize }: Pick<ModelShape, 'hiddenSize'>, { activations }: PlannedSpec): number {
  return hiddenSize * (activations === 'f16' ? 2 : 4);
}

/** Returns the time of a micro-batch's way over a link, in nanoseconds: half a round trip, and its bytes. */
export function hopNs(link: PlannedLink, bytes: number): number {
  return frameNs + (link.roundTripMs / 2) * 1e6 + occupancyNs(link, bytes);
}

/** Returns the time for which a micro-batch keeps a link from others, in nanoseconds. */
export function occupancyNs({ bytesPerSecond }: PlannedLink, bytes: number): number {
  return (bytes / bytesPerSecond) * 1e9;
}
