import { bestChains } from './exact.ts';
import { bestCut } from './ordered.ts';
import { elementAt, problemOf, type Aim, type Chain, type ChainProblem } from './problem.ts';

/** Peers of the pools in which every set and order is tried. */
const poolSize = 6;
/** Most orders that are tried for chains of one length, each with its best cut. */
const maxTries = 60;
/** Peers outside a chain that are tried in place of each one in it. */
const maxOutside = 6;
/** Lengths that are looked at from the first one on for which a chain is found. */
const lengths = 3;

/**
 * Finds good chains over more peers than can be searched through. It tries every set and order of a few pools: the
 * fastest peers, the roomiest, those that are both; and from there, and from a chain of the fastest that have the room,
 * exchanges one peer for another and the places of two for as long as that is better.
 *
 * @param least shortest length to look at
 * @param most greatest length
 * @returns the chains by length, undefined where none was found or looked for
 */
export function goodChains(
  problem: ChainProblem,
  aim: Aim,
  { least, most }: { readonly least: number; readonly most: number },
): readonly (Chain | undefined)[] {
  const peers = problem.stages.map((costs, peer) => describe(peer, costs, problem.units));
  const usable = peers.filter(({ room }) => room > 0);
  const byCost = usable.toSorted((one, other) => one.unitCost - other.unitCost || other.room - one.room);
  const byRoom = usable.toSorted((one, other) => other.room - one.room || one.unitCost - other.unitCost);
  const byBoth = usable.toSorted((one, other) => one.unitCost / one.room - other.unitCost / other.room);
  const rankings = [byCost, byRoom, byBoth];
  const found: (Chain | undefined)[] = Array.from({ length: most + 1 }, () => undefined);
  const keep = (chain: Chain | undefined): void => {
    const best = chain && found[chain.peers.length];
    if (chain !== undefined && (best === undefined || chain.cost < best.cost)) found[chain.peers.length] = chain;
  };
  for (const pool of distinctPools(rankings)) {
    for (const chain of bestChains(problemOf(pool, problem), aim, Math.min(most, pool.length))) {
      keep(chain && { ...chain, peers: chain.peers.map((index) => elementAt(pool, index)) });
    }
  }
  let looked = 0;
  for (let length = Math.max(2, least); length <= Math.min(most, usable.length) && looked < lengths; length += 1) {
    for (const ranking of [byCost, byRoom]) {
      keep(cutAnyhow(rightSize(ranking, byRoom, { length, units: problem.units }), problem, aim));
    }
    const start = found[length];
    if (start === undefined) continue;
    looked += 1;
    keep(improve(start, { problem, aim, outside: rankings.flatMap((ranking) => ranking.map(({ peer }) => peer)) }));
  }
  return found;
}

interface RankedPeer {
  readonly peer: number;
  /** Most units that it can take. */
  readonly room: number;
  /** Cost of a unit, on average over those. */
  readonly unitCost: number;
}

function describe(peer: number, costs: Float64Array, units: number): RankedPeer {
  let best: RankedPeer = { peer, room: 0, unitCost: Infinity };
  for (let from = 0; from < units; from += 1) {
    for (let to = from + best.room + 1; to <= units; to += 1) {
      const cost = costs[from * (units + 1) + to] ?? Infinity;
      if (cost === Infinity) {
        // The output matrix may be what does not fit.
        break;
      }
      best = { peer, room: to - from, unitCost: cost / (to - from) };
    }
  }
  return best;
}

function distinctPools(rankings: readonly (readonly RankedPeer[])[]): readonly (readonly number[])[] {
  const pools = rankings.map((ranking) => ranking.slice(0, poolSize).map(({ peer }) => peer));
  const distinct = new Map(pools.map((pool) => [pool.toSorted((one, other) => one - other).join(), pool]));
  return [...distinct.values()].filter((pool) => pool.length > 0);
}

/** Takes the first peers of a ranking, and for the last ones among them roomier ones until all units have room. */
function rightSize(
  ranking: readonly RankedPeer[],
  byRoom: readonly RankedPeer[],
  { length, units }: { readonly length: number; readonly units: number },
): readonly number[] {
  const chosen = ranking.slice(0, length);
  for (const roomy of byRoom) {
    const room = chosen.reduce((sum, one) => sum + one.room, 0);
    if (room >= units) break;
    if (chosen.includes(roomy)) continue;
    const least = chosen.reduce((lowest, one) => (one.room < lowest.room ? one : lowest));
    if (least.room >= roomy.room) break;
    chosen[chosen.indexOf(least)] = roomy;
  }
  return chosen.map(({ peer }) => peer);
}

/** Cuts the units over peers in some order of theirs: the lead and the tail, which hold more, have to have the room. */
function cutAnyhow(peers: readonly number[], problem: ChainProblem, aim: Aim): Chain | undefined {
  const asRanked = bestCut(peers, problem, { aim });
  if (asRanked !== undefined) return asRanked;
  for (const lead of peers) {
    for (const tail of peers) {
      if (lead === tail) continue;
      const between = peers.filter((peer) => peer !== lead && peer !== tail);
      const chain = bestCut([lead, ...between, tail], problem, { aim });
      if (chain !== undefined) return chain;
    }
  }
  return undefined;
}

/** Exchanges peers, and places of peers, for as long as the chain gets better and there are tries left. */
function improve(
  start: Chain,
  { problem, aim, outside }: { readonly problem: ChainProblem; readonly aim: Aim; readonly outside: readonly number[] },
): Chain {
  let best = start;
  let tries = 0;
  for (let isBetter = true; isBetter && tries < maxTries;) {
    isBetter = false;
    for (const order of neighbours(best.peers, outside)) {
      if ((tries += 1) > maxTries) break;
      const chain = bestCut(order, problem, { aim, below: best.cost });
      if (chain === undefined || chain.cost >= best.cost) continue;
      best = chain;
      isBetter = true;
      break;
    }
  }
  return best;
}

/** Yields the chains in which two peers change places, or one is exchanged for one outside. */
function* neighbours(peers: readonly number[], ranked: readonly number[]): Generator<readonly number[]> {
  const outside = [...new Set(ranked)].filter((peer) => !peers.includes(peer)).slice(0, maxOutside);
  for (const [place] of peers.entries()) {
    for (const peer of outside) yield peers.with(place, peer);
    for (let other = place + 1; other < peers.length; other += 1) {
      yield peers.with(place, elementAt(peers, other)).with(other, elementAt(peers, place));
    }
  }
}
