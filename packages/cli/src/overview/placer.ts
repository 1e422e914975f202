import { claimedLease, compareLeases, type Card } from '@skein/protocol';

/** The coordinator that places models, as the cards show it. */
export interface PlacerView {
  readonly peer: string;
  /** Name of the machine. */
  readonly name: string;
  /** Epoch of its lease. */
  readonly epoch: number;
}

/** Finds the coordinator that places models; undefined while none says so. */
export function placerOf(cards: readonly Card[]): PlacerView | undefined {
  const claims = cards.flatMap((card) => {
    const lease = claimedLease(card);
    return lease === undefined ? [] : [{ lease, name: card.name }];
  });
  const [greatest] = claims.sort((one, other) => compareLeases(other.lease, one.lease));
  return greatest && { peer: greatest.lease.holder, name: greatest.name, epoch: greatest.lease.epoch };
}
