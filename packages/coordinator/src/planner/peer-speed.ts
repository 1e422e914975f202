import type { Card } from '@skein/protocol';

/**
 * Returns a peer's speed of decoding, in bytes of weights a second; only ratios matter. Nothing is measured yet: all
 * are equal.
 */
export function peerSpeed(_card: Card): number {
  return 1;
}
