import type { Block, ModelShape, PlannedSpec } from '@skein/protocol';

import type { MemoryUse } from './memory-uses.ts';
import { hopNs, occupancyNs, rowBytes } from './performance/hop-time.ts';
import type { LinkOf, PlannedLink } from './performance/links.ts';
import { rowsInFlight } from './performance/predict.ts';
import { decodeNs, type PeerTimes } from './performance/stage-time.ts';
import {
  bestChains,
  bestCut,
  goodChains,
  beginOf,
  elementAt,
  maxExactPeers,
  problemOf,
  stageCosts,
  type Aim,
  type Chain,
  type ChainProblem,
} from './search/index.ts';
import type { UsablePeer } from './usable-peers.ts';

/** A stage as it is planned, before its memory is added up. */
export interface ChosenStage {
  readonly peer: UsablePeer;
  readonly block: Block;
}

/** The model to split, and the facts that decide how. */
export interface SplitModel {
  readonly shape: ModelShape;
  readonly spec: PlannedSpec;
  /** Number of layers of which cut points are multiples. */
  readonly multiple: number;
  /** Layers after which the stages end, where the request gives them. */
  readonly ends: readonly number[] | undefined;
  readonly timesOf: (peer: UsablePeer) => PeerTimes;
  readonly linkOf: LinkOf;
  readonly objective: 'one-stream' | 'saturated';
}

/** Most units of layers that are told apart: deeper models are cut at multiples of more layers. */
const maxUnits = 128;
/** Peers that are looked at for their speed, where there are many. */
const ranked = 8;
/** Room for the model that the roomiest of many peers have together before no more of them are looked at. */
const roomShare = 1.25;
/** Share by which a machine counts as slower for each replica of the model that it serves already. */
const sharedByReplica = 1;
/** Share by which a machine counts as slower that has to fetch its layers: of equal machines, holders come first. */
const fetchShare = 1e-3;
/** Share of the least time of one stream that is given for a more even split, which serves several streams faster. */
const evenShare = 0.02;
/** Weight of evenness among splits of the same slowest stage. */
const evenness = 1e-3;

/**
 * Finds the best split of each length over peers that a way to use memory offers.
 *
 * @param lengths the shortest and the greatest number of stages
 * @returns splits by their number of stages, undefined where there is none
 */
export function bestSplits(
  use: MemoryUse,
  model: SplitModel,
  lengths: { readonly least: number; readonly most: number },
): readonly (readonly ChosenStage[] | undefined)[] {
  const most = Math.min(lengths.most, use.peers.length);
  if (most < lengths.least) return [];
  const cuts = cutPoints(model);
  const ends = model.ends?.map((end) => cuts.indexOf(end));
  const peers = use.peers.length <= maxExactPeers ? use.peers : promising({ use, model, cuts, count: lengths.least });
  const tables = peers.map((peer) => stageTable(peer, { use, model, cuts }));
  const { sequences } = model.spec;
  const links = peers.flatMap((from) =>
    peers.map((to) => (from === to ? undefined : model.linkOf(from.peer, to.peer))),
  );
  const problemFor = (aim: Aim, rows: number): ChainProblem => {
    const bytes = rowBytes(model.shape, model.spec) * rows;
    const pairs = (costOf: (link: PlannedLink) => number) =>
      Float64Array.from(links, (link) => (link === undefined ? 0 : Math.round(costOf(link))));
    const stages = tables.map((table) => timesWith(rows, table));
    const units = cuts.length - 1;
    if (aim === 'max') {
      return { units, ends, stages, hops: pairs((link) => occupancyNs(link, bytes)) };
    }
    return {
      units,
      ends,
      stages,
      hops: pairs((link) => hopNs(link, bytes)),
      returns: pairs((link) => hopNs(link, 0)),
    };
  };
  const searched = (problem: ChainProblem, aim: Aim, { least, most: greatest } = { ...lengths, most }) =>
    peers.length <= maxExactPeers
      ? bestChains(problem, aim, greatest)
      : goodChains(problem, aim, { least, most: greatest });
  const chains: (Chain | undefined)[] = Array.from({ length: most + 1 }, () => undefined);
  if (model.objective === 'one-stream') {
    const problem = problemFor('sum', 1);
    for (const chain of searched(problem, 'sum')) {
      const length = chain?.peers.length ?? 0;
      if (chain !== undefined && length >= lengths.least) chains[length] = evenedOut(chain, problem);
    }
  } else {
    const byRows = Map.groupBy(
      Array.from({ length: most }, (_, index) => index + 1).filter((length) => length >= lengths.least),
      (length) => rowsInFlight(sequences, length),
    );
    for (const [rows, counts] of byRows) {
      const within = { least: Math.min(...counts), most: Math.max(...counts) };
      const found = searched(problemFor('max', rows), 'max', within);
      const latency = problemFor('sum', rows);
      for (const count of counts) {
        const chain = found[count];
        if (chain !== undefined) chains[count] = soonest(chain, latency);
      }
    }
  }
  return chains.map((chain) =>
    chain?.peers.map((index, stage) => ({
      peer: elementAt(peers, index),
      block: {
        from: elementAt(cuts, beginOf(chain.ends, stage)),
        to: elementAt(cuts, elementAt(chain.ends, stage)),
      },
    })),
  );
}

/** Returns how many times as long a peer counts to take as it would alone, with all layers at hand. */
export function handicap({ servedStages, holdsModel }: UsablePeer): number {
  return 1 + sharedByReplica * servedStages + (holdsModel ? 0 : fetchShare);
}

/**
 * Chooses the peers of many among which good chains are looked for: the fastest, those with the most speed for their
 * room, and the roomiest, of which there are more where it takes more to hold the model.
 */
function promising({ use, model, cuts, count }: TableOptions & { readonly count: number }): readonly UsablePeer[] {
  const units = cuts.length - 1;
  const described = use.peers.flatMap((peer) => {
    const blockTo = (to: number): Block => ({ from: elementAt(cuts, Math.min(1, units - 1)), to: elementAt(cuts, to) });
    let [low, high] = [1, units];
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (use.taken(blockTo(middle), peer) <= peer.freeBytes) low = middle;
      else high = middle;
    }
    const room = low - 1;
    if (room < 1) return [];
    const ns = decodeNs(model.timesOf(peer).timeOf(blockTo(low), use.layout(blockTo(low), peer)), 1);
    return [{ peer, room, unitNs: (ns * handicap(peer)) / room }];
  });
  const byRoom = described.toSorted((one, other) => other.room - one.room);
  const chosen = new Set([
    ...described.toSorted((one, other) => one.unitNs - other.unitNs).slice(0, ranked),
    ...described.toSorted((one, other) => one.unitNs / one.room - other.unitNs / other.room).slice(0, ranked),
  ]);
  let room = 0;
  for (const one of byRoom) {
    if (room > roomShare * units && chosen.size >= Math.max(count, ranked)) break;
    room += one.room;
    chosen.add(one);
  }
  const peers = new Set([...chosen].map(({ peer }) => peer));
  return use.peers.filter((peer) => peers.has(peer));
}

/** Lists the layers after which a stage may end, from 0 to the last. */
function cutPoints({ shape, multiple, ends }: SplitModel): readonly number[] {
  if (ends !== undefined) return [0, ...ends];
  const units = Math.ceil(shape.layers / multiple);
  const step = multiple * Math.ceil(units / maxUnits);
  return [...Array.from({ length: Math.ceil(shape.layers / step) }, (_, index) => index * step), shape.layers];
}

/** Times of the stages of a peer for one row, and for each further one, in nanoseconds; infinite where they don't fit. */
interface StageTable {
  readonly first: Float64Array;
  readonly further: Float64Array;
}

interface TableOptions {
  readonly use: MemoryUse;
  readonly model: SplitModel;
  /** Layers after which a stage may end, see {@link cutPoints}. */
  readonly cuts: readonly number[];
}

/** Returns the times of stages for micro-batches of so many rows. */
function timesWith(rows: number, { first, further }: StageTable): Float64Array {
  if (rows === 1) return first;
  const times = new Float64Array(first.length);
  for (let index = 0; index < times.length; index += 1) {
    times[index] = (first[index] as number) + (rows - 1) * (further[index] as number);
  }
  return times;
}

function stageTable(peer: UsablePeer, { use, model, cuts }: TableOptions): StageTable {
  const units = cuts.length - 1;
  const width = units + 1;
  const table = { first: new Float64Array(width ** 2).fill(Infinity), further: new Float64Array(width ** 2) };
  const { timeOf } = model.timesOf(peer);
  const factor = handicap(peer);
  const fits = (from: number, to: number) => use.taken(blockOf(from, to), peer) <= peer.freeBytes;
  const blockOf = (from: number, to: number): Block => ({ from: elementAt(cuts, from), to: elementAt(cuts, to) });
  const fill = (from: number, to: number): void => {
    const block = blockOf(from, to);
    const time = timeOf(block, use.layout(block, peer));
    // Whole nanoseconds: equal machines make equal sums, whatever their order.
    const first = Math.round(decodeNs(time, 1) * factor);
    table.first[from * width + to] = first;
    table.further[from * width + to] = Math.round(decodeNs(time, 2) * factor) - first;
  };
  let end = 0;
  for (let from = 0; from < units; from += 1) {
    // Units that fit from here on fit without the first of them, too.
    end = Math.max(end, from);
    while (end + 1 < units && fits(from, end + 1)) end += 1;
    for (let to = from + 1; to <= end; to += 1) fill(from, to);
    if (end + 1 >= units && fits(from, units)) fill(from, units);
  }
  return table;
}

/** Makes the stages of a chain as even as its greatest stage can be for 2 % of its time. */
function evenedOut(chain: Chain, problem: ChainProblem): Chain {
  const most = chain.cost * (1 + evenShare);
  const slowest = bestCut(chain.peers, problem, { aim: 'max' })?.cost;
  if (slowest === undefined) return chain;
  let [low, high] = [slowest, chain.cost];
  let best = chain;
  for (let round = 0; round < 12; round += 1) {
    const bound = (low + high) / 2;
    const cut = bestCut(chain.peers, problem, { aim: 'sum', bound });
    if (cut !== undefined && cut.cost <= most) [high, best] = [bound, cut];
    else low = bound;
  }
  const even = bestCut(chain.peers, problem, { aim: 'sum', bound: high, evenness });
  return even ?? best;
}

/** Orders and cuts a chain of the same peers so that a token passes soonest, no stage being slower than the slowest was. */
function soonest(chain: Chain, latency: ChainProblem): Chain {
  const bound = Math.max(...stageCosts(chain, latency));
  const orders = chain.peers.length <= maxExactPeers ? within(chain.peers, latency, bound) : chain.peers;
  return bestCut(orders, latency, { aim: 'sum', bound, evenness }) ?? chain;
}

/** Returns the best order of some peers with stages within a bound. */
function within(peers: readonly number[], problem: ChainProblem, bound: number): readonly number[] {
  const among = problemOf(peers, problem);
  const stages = among.stages.map((costs) => {
    const within = new Float64Array(costs.length);
    for (let index = 0; index < costs.length; index += 1) {
      const cost = costs[index] as number;
      within[index] = cost > bound ? Infinity : cost;
    }
    return within;
  });
  const best = bestChains({ ...among, stages }, 'sum', peers.length, peers.length)[peers.length];
  return best?.peers.map((index) => elementAt(peers, index)) ?? peers;
}
