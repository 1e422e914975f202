import type { Card } from './card.ts';

/** Returns the end of a peer id, the part in which ids differ. */
export function shortPeer(peer: string): string {
  return peer.slice(-6);
}

/**
 * Returns the name of a machine for messages: `attic (…WbfR2x)`, or `…WbfR2x` when no card names it. No control
 * characters.
 */
export function machineName(cards: readonly Pick<Card, 'peer' | 'name'>[], peer: string): string {
  const name = cards.find((card) => card.peer === peer)?.name.replaceAll(/\p{Cc}/gu, '') ?? '';
  return name === '' ? `…${shortPeer(peer)}` : `${name} (…${shortPeer(peer)})`;
}
