import { elementAt, wayBack, type Aim, type Chain, type ChainProblem } from './problem.ts';

export interface OrderedOptions {
  readonly aim: Aim;
  /** Greatest cost of a stage. Default: any. */
  readonly bound?: number | undefined;
  /** Cost that the chain has to stay below. Default: any. */
  readonly below?: number | undefined;
  /**
   * Weight of evenness beside the sum: each stage costs its share of the bound once more, times this. Needs a bound.
   * Default: none.
   */
  readonly evenness?: number | undefined;
}

/** Cuts the units over peers in a given order as well as can be. Undefined where they don't fit. */
export function bestCut(peers: readonly number[], problem: ChainProblem, options: OrderedOptions): Chain | undefined {
  const { units, stages, hops, returns, ends: fixed } = problem;
  const { aim, bound = Infinity, below = Infinity, evenness = 0 } = options;
  const count = peers.length;
  if (fixed !== undefined && fixed.length !== count) return undefined;
  const width = units + 1;
  const froms = new Int32Array(count * width);
  let before = new Float64Array(width).fill(Infinity);
  before[0] = 0;
  for (const [stage, peer] of peers.entries()) {
    const costs = stages[peer];
    if (costs === undefined) return undefined;
    const previous = peers[stage - 1];
    const hop = previous === undefined ? 0 : (hops[previous * stages.length + peer] ?? Infinity);
    const after = new Float64Array(width).fill(Infinity);
    // Each stage behind this one needs a unit.
    const greatest = units - (count - 1 - stage);
    const only = fixed?.[stage] ?? (stage === count - 1 ? units : undefined);
    for (let from = stage; from < greatest; from += 1) {
      const start = before[from] as number;
      if (start >= below) continue;
      for (let to = only === undefined ? from + 1 : Math.max(only, from + 1); to <= (only ?? greatest); to += 1) {
        const cost = costs[from * width + to] as number;
        if (cost > bound || cost === Infinity) break;
        const all =
          aim === 'max'
            ? Math.max(start, hop, cost)
            : start + hop + cost + (evenness === 0 ? 0 : (evenness * cost * cost) / bound);
        if (all < (after[to] as number) && all < below) {
          after[to] = all;
          froms[stage * width + to] = from;
        }
      }
    }
    before = after;
  }
  const end = before[units] as number;
  if (end === Infinity) return undefined;
  const back = wayBack(peers, { returns, count: stages.length });
  const ends: number[] = [];
  for (let [stage, place] = [count - 1, units]; stage >= 0; stage -= 1) {
    ends.unshift(place);
    place = elementAt(froms, stage * width + place);
  }
  return { peers, ends, cost: aim === 'max' ? Math.max(end, back) : end + back };
}
