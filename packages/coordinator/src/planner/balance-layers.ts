import { invariant, type Block } from '@skein/protocol';

import type { DecodeWork } from './block-costs.ts';

/** The facts about a peer that balancing needs. */
export interface BalancedPeer {
  /** Bytes that a stage may take on it. */
  readonly freeBytes: number;
  /** Bytes that it reads in a unit of time when it decodes. */
  readonly speed: number;
  /** Whether it holds the whole model, so that nothing needs to be fetched. */
  readonly holdsModel: boolean;
}

export interface BalanceOptions<Peer extends BalancedPeer> {
  readonly layers: number;
  /** Number of layers of which cut points are multiples; the layers between two of them are a unit. */
  readonly multiple: number;
  readonly stages: number;
  /** Returns the bytes that a block takes on a peer. */
  readonly memory: (block: Block, peer: Peer) => number;
  readonly decodeWork: DecodeWork;
  /** Layers after which the stages end, where the request gives them. Default: the best ones. */
  readonly ends?: readonly number[] | undefined;
  /** Peers, in the order in which they are taken when nothing else decides. */
  readonly peers: readonly Peer[];
  /** Whether the peers are taken in just this order, one each. Default: any of them, in any order. */
  readonly isOrderFixed?: boolean;
}

export interface Balanced<Peer> {
  readonly peer: Peer;
  readonly block: Block;
}

/** Returns the most blocks that a model of so many layers can be cut into. */
export function maximumStages(layers: number, multiple: number): number {
  return Math.ceil(layers / multiple);
}

/**
 * Cuts the layers into contiguous blocks and gives each to a peer with the memory for it, so that the slowest stage is
 * as fast as possible: a step of the ring takes as long as that. Among such splits it takes one with the least to
 * fetch, then one in which a token passes all stages soonest, then the most even one. Exact, by dynamic programming
 * over (peers used, layers placed). Returns undefined exactly when nothing fits.
 */
export function balanceLayers<Peer extends BalancedPeer>(options: BalanceOptions<Peer>): Balanced<Peer>[] | undefined {
  const moves = possibleMoves(options);
  // The first pass finds the least bottleneck; costs that add up are compared in a second one, among the splits that have it.
  const bottleneck = best(moves, (move, [slowest = 0]) => [Math.max(move.time, slowest)]);
  if (bottleneck === undefined) return undefined;
  const [slowest = 0] = bottleneck.cost;
  const all = best(moves, (move, rest) => {
    if (move.time > slowest) return undefined;
    const [fetched = 0, total = 0, unevenness = 0] = rest;
    return [fetched + move.fetchedBytes, total + move.time, unevenness + move.time ** 2];
  });
  return all?.moves.map(({ peer, block }) => ({ peer, block }));
}

/** One stage that fits its peer. */
interface Move<Peer> {
  readonly peer: Peer;
  readonly block: Block;
  readonly time: number;
  readonly fetchedBytes: number;
  /** Number of the state that it leads to. */
  readonly next: number;
}

/** Stages that may come next, by state: peers used and layers placed. 0 is the empty split. */
interface Moves<Peer> {
  readonly isEnd: (state: number) => boolean;
  readonly from: (state: number) => readonly Move<Peer>[];
}

function possibleMoves<Peer extends BalancedPeer>(options: BalanceOptions<Peer>): Moves<Peer> {
  const { layers, multiple, stages, memory, decodeWork, ends, peers, isOrderFixed = false } = options;
  const units = maximumStages(layers, multiple);
  // Peers used: how many of them when their order is fixed, else a set of bits.
  const usedCount = isOrderFixed ? (used: number) => used : countBits;
  const stateOf = (used: number, unit: number) => used * (units + 1) + unit;
  const move = (peer: Peer, block: Block, next: number): Move<Peer> | undefined => {
    if (memory(block, peer) > peer.freeBytes) return undefined;
    const bytes = decodeWork(block);
    return { peer, block, time: bytes / peer.speed, fetchedBytes: peer.holdsModel ? 0 : bytes, next };
  };
  const from = (state: number) => {
    const used = Math.floor(state / (units + 1));
    const unit = state % (units + 1);
    const stage = usedCount(used);
    if (stage >= stages) return [];
    const isTail = stage === stages - 1;
    const found: Move<Peer>[] = [];
    for (const [index, peer] of peers.entries()) {
      if (isOrderFixed ? index !== used : (used >> index) & 1) continue;
      const nextUsed = isOrderFixed ? used + 1 : used | (1 << index);
      const wanted = ends?.[stage];
      // Each stage behind this one needs a unit.
      const last = units - (stages - 1 - stage);
      for (let end = isTail ? units : unit + 1; end <= last; end += 1) {
        const block = { from: unit * multiple, to: Math.min(end * multiple, layers) };
        if (wanted !== undefined && block.to !== wanted) continue;
        const next = move(peer, block, stateOf(nextUsed, end));
        // More layers never take less memory.
        if (next === undefined) break;
        found.push(next);
      }
    }
    return found;
  };
  const isEnd = (state: number) =>
    state % (units + 1) === units && usedCount(Math.floor(state / (units + 1))) === stages;
  return { isEnd, from };
}

type Cost = readonly number[];

interface Path<Peer> {
  readonly cost: Cost;
  readonly moves: readonly Move<Peer>[];
}

/** Finds the cheapest way to an end, costs compared number by number; on a tie the first one. */
function best<Peer>(
  moves: Moves<Peer>,
  costOf: (move: Move<Peer>, rest: Cost) => Cost | undefined,
): Path<Peer> | undefined {
  const known = new Map<number, Path<Peer> | undefined>();
  const bestFrom = (state: number): Path<Peer> | undefined => {
    if (moves.isEnd(state)) return { cost: [], moves: [] };
    if (known.has(state)) return known.get(state);
    let found: Path<Peer> | undefined;
    for (const move of moves.from(state)) {
      const rest = bestFrom(move.next);
      const cost = rest === undefined ? undefined : costOf(move, rest.cost);
      if (rest === undefined || cost === undefined) continue;
      if (found === undefined || isLess(cost, found.cost)) found = { cost, moves: [move, ...rest.moves] };
    }
    known.set(state, found);
    return found;
  };
  return bestFrom(0);
}

function isLess(one: Cost, other: Cost): boolean {
  for (const [index, value] of one.entries()) {
    const difference = value - invariant(other[index], 'costs that are compared have as many parts');
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function countBits(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
