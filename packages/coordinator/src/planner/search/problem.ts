import { invariant } from '@skein/protocol';

/**
 * Layers to give to peers in a chain. All of it is numbers: peers are counted from 0, and so are the places between two
 * units of layers where a stage may end.
 */
export interface ChainProblem {
  /** Number of units. */
  readonly units: number;
  /** For each peer the costs of its stages: that of the units from `from` to `to` is at `from * (units + 1) + to`. */
  readonly stages: readonly Float64Array[];
  /** Costs of the way from each peer to each other, at `from * peers + to`. */
  readonly hops: Float64Array;
  /** Costs of the way from a tail back to a lead, at `tail * peers + lead`. Default: none. */
  readonly returns?: Float64Array;
  /** Places where the stages end, where that is fixed. */
  readonly ends?: readonly number[] | undefined;
}

/**
 * The aim of a search. `sum`: all stages and hops together, the time of one token. `max`: the greatest of them, the time
 * between two micro-batches of a pipeline that is full.
 */
export type Aim = 'sum' | 'max';

/** One way to give the units to peers. */
export interface Chain {
  /** Peers in the order of their stages. */
  readonly peers: readonly number[];
  /** Place at which each of the stages ends. */
  readonly ends: readonly number[];
  readonly cost: number;
}

/** Returns an element that has to be there. */
export function elementAt<Element>(list: { readonly [index: number]: Element }, index: number): Element {
  return invariant(list[index], 'peers and places are counted from 0');
}

/** Returns the place at which a stage of a chain begins. */
export function beginOf(ends: readonly number[], stage: number): number {
  return stage === 0 ? 0 : elementAt(ends, stage - 1);
}

/** Returns the costs of the stages of a chain. */
export function stageCosts({ peers, ends }: Omit<Chain, 'cost'>, { units, stages }: ChainProblem): readonly number[] {
  return peers.map((peer, stage) =>
    elementAt(elementAt(stages, peer), beginOf(ends, stage) * (units + 1) + elementAt(ends, stage)),
  );
}

/** Returns the cost of a chain. */
export function costOf(chain: Omit<Chain, 'cost'>, problem: ChainProblem, aim: Aim): number {
  const { hops, returns, stages } = problem;
  const { peers } = chain;
  const between = peers.slice(1).map((peer, index) => elementAt(hops, elementAt(peers, index) * stages.length + peer));
  const parts = [...stageCosts(chain, problem), ...between, wayBack(peers, { returns, count: stages.length })];
  return aim === 'sum' ? parts.reduce((sum, part) => sum + part, 0) : Math.max(...parts);
}

/** Returns the cost of the way from the tail of a chain to its lead: none where they are one. */
export function wayBack(
  peers: readonly number[],
  { returns, count }: { readonly returns: Float64Array | undefined; readonly count: number },
): number {
  const [lead, tail] = [elementAt(peers, 0), elementAt(peers, peers.length - 1)];
  return peers.length === 1 || returns === undefined ? 0 : elementAt(returns, tail * count + lead);
}

/** Returns the problem of some of the peers. Its peers are counted as they stand in the list. */
export function problemOf(pool: readonly number[], problem: ChainProblem): ChainProblem {
  const { stages, hops, returns } = problem;
  const among = (all: Float64Array) =>
    Float64Array.from(pool.flatMap((from) => pool.map((to) => elementAt(all, from * stages.length + to))));
  return {
    ...problem,
    stages: pool.map((peer) => elementAt(stages, peer)),
    hops: among(hops),
    ...(returns !== undefined && { returns: among(returns) }),
  };
}
