import type { Card } from '@skein/protocol';

/** How fast a peer decodes, in bytes of weights a second, as far as only ratios matter. Nothing is measured yet: all alike. */
export function peerSpeed(_card: Card): number {
  return 1;
}
