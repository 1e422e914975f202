import type { Card } from '@skein/protocol';

/** A link as a plan takes it. */
export interface PlannedLink {
  readonly roundTripMs: number;
  readonly bytesPerSecond: number;
  /** Whether one of its ends has measured it. */
  readonly isMeasured: boolean;
}

/** A link that nobody has measured yet: Gigabit Ethernet, by a switch. */
const unknownLink: PlannedLink = { roundTripMs: 0.6, bytesPerSecond: 110e6, isMeasured: false };

/** Returns the link from one peer to another. */
export type LinkOf = (from: string, to: string) => PlannedLink;

/**
 * Returns the links between peers as their cards have them: the sender's measurement, else the receiver's of the way
 * back, else Gigabit Ethernet.
 */
export function linksOf(cards: readonly Card[]): LinkOf {
  const measured = new Map(
    cards.map(({ peer, links = [] }) => [
      peer,
      new Map(
        links
          .filter(({ bytesPerSecond }) => bytesPerSecond > 0)
          .map(({ peer: other, roundTripMs, bytesPerSecond }): [string, PlannedLink] => [
            other,
            { roundTripMs, bytesPerSecond, isMeasured: true },
          ]),
      ),
    ]),
  );
  return (from, to) => measured.get(from)?.get(to) ?? measured.get(to)?.get(from) ?? unknownLink;
}
