import { balanceLayers, type Balanced, type BalanceOptions } from './balance-layers.ts';
import type { UsablePeer } from './usable-peers.ts';

/** Most peers of which every choice and order is tried: 2 to the power of this many sets of them. */
const maxPool = 6;

/** The model to split, and how. */
export type SplitModel = Omit<BalanceOptions<UsablePeer>, 'peers' | 'isOrderFixed'>;

/**
 * Finds the best split over any of the pools that the peers make; of those in a fixed order the first.
 *
 * @param peers most free memory first
 */
export function bestSplit(peers: readonly UsablePeer[], model: SplitModel): Balanced<UsablePeer>[] | undefined {
  let fastest: { split: Balanced<UsablePeer>[]; slowest: number } | undefined;
  for (const pool of peerPools(peers, model.stages)) {
    if (fastest !== undefined && pool.isOrderFixed) break;
    const split = balanceLayers({ ...model, ...pool });
    if (split === undefined) continue;
    const slowest = Math.max(...split.map(({ peer, block }) => model.decodeWork(block) / peer.speed));
    if (fastest === undefined || slowest < fastest.slowest) fastest = { split, slowest };
  }
  return fastest?.split;
}

interface PeerPool {
  readonly peers: readonly UsablePeer[];
  /** Whether they are taken in this order, one a stage. */
  readonly isOrderFixed: boolean;
}

/**
 * Yields sets of peers in which to look for a split. Up to six peers: all of them, in any order. Of more: those with
 * the most memory, and those that are fastest, in any order. For more than six stages: the ones with the most memory,
 * the fastest first, and where that does not fit with every other choice of the two ends, since the lead holds the
 * embeddings and the tail the output matrix.
 *
 * @param peers most free memory first
 */
function* peerPools(peers: readonly UsablePeer[], stages: number): Generator<PeerPool> {
  if (stages <= maxPool) {
    yield { peers: peers.slice(0, maxPool), isOrderFixed: false };
    if (peers.length > maxPool) yield { peers: bySpeed(peers).slice(0, maxPool), isOrderFixed: false };
    return;
  }
  const chosen = bySpeed(peers.slice(0, stages));
  yield { peers: chosen, isOrderFixed: true };
  for (const lead of chosen) {
    for (const tail of chosen) {
      if (lead === tail) continue;
      const between = chosen.filter((peer) => peer !== lead && peer !== tail);
      yield { peers: [lead, ...between, tail], isOrderFixed: true };
    }
  }
}

/** Sorts peers, the fastest first; equal ones stay in their order. */
function bySpeed(peers: readonly UsablePeer[]): readonly UsablePeer[] {
  return peers.toSorted((one, other) => other.speed - one.speed);
}
