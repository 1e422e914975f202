import type { Card } from '@skein/protocol';

/** A link as a plan takes it. */
export interface PlannedLink {
  readonly roundTripMs: number;
  readonly bytesPerSecond: number;
  /** Time of a small frame from the sender's engine to its peer and from the receiver's peer to its engine. */
  readonly pipesMs: number;
  /** Whether one of its ends has measured it. */
  readonly isMeasured: boolean;
}

/** A link that nobody has measured yet: Gigabit Ethernet, by a switch. */
const unknownLink = { roundTripMs: 0.6, bytesPerSecond: 110e6, isMeasured: false };
/** Time of a small frame between a peer and its engine on a machine that has not measured it. */
const unknownPipeMs = 0.1;

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
          .map(({ peer: other, roundTripMs, bytesPerSecond }): [string, Omit<PlannedLink, 'pipesMs'>] => [
            other,
            { roundTripMs, bytesPerSecond, isMeasured: true },
          ]),
      ),
    ]),
  );
  const pipes = new Map(
    cards.map(({ peer, hardware }) => [peer, hardware?.speeds?.find(({ pipeMs }) => pipeMs !== undefined)?.pipeMs]),
  );
  const pipeMsOf = (peer: string) => pipes.get(peer) ?? unknownPipeMs;
  return (from, to) => ({
    ...(measured.get(from)?.get(to) ?? measured.get(to)?.get(from) ?? unknownLink),
    pipesMs: pipeMsOf(from) + pipeMsOf(to),
  });
}
