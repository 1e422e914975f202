import { hostOf, isWildcard } from '../addresses.ts';

/**
 * Returns the multiaddr that a listener is bound to: as it was asked for, with the port in place of 0. Undefined where it
 * is not bound.
 *
 * libp2p's own list would not do: it has a wildcard's addresses of the moment, without link-local ones, and leaves out
 * public addresses until somebody on the Internet has confirmed them.
 *
 * @param asked the address that it was told to listen on
 * @param shown the first address that the listener shows: none while it is not bound, and none for a wildcard while the
 *   machine has no network
 */
export function boundAddress(asked: string | undefined, shown: string | undefined): string | undefined {
  if (asked === undefined) return undefined;
  const fixed = portOf(asked);
  if (shown === undefined) return isWildcard(hostOf(asked)) && fixed !== '0' ? asked : undefined;
  const port = portOf(shown);
  return fixed === port ? asked : asked.replace(/\/tcp\/0(?=\/|$)/, `/tcp/${port}`);
}

function portOf(address: string): string | undefined {
  return /\/tcp\/(\d+)/.exec(address)?.[1];
}
