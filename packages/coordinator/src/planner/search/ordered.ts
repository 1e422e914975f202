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

/** Buffers of one cut after the other: made anew for each, they would take longer than the cut. */
class Scratch {
  #froms = new Int32Array(0);
  #rows: readonly [Float64Array, Float64Array] = [new Float64Array(0), new Float64Array(0)];

  froms(length: number): Int32Array {
    if (this.#froms.length < length) this.#froms = new Int32Array(length);
    return this.#froms;
  }

  rows(length: number): readonly [Float64Array, Float64Array] {
    if (this.#rows[0].length < length) this.#rows = [new Float64Array(length), new Float64Array(length)];
    return this.#rows;
  }
}

const scratch = new Scratch();

/** Cuts the units over peers in a given order as well as can be. Undefined where they don't fit. */
export function bestCut(peers: readonly number[], problem: ChainProblem, options: OrderedOptions): Chain | undefined {
  const { units, stages, hops, returns, ends: fixed } = problem;
  const { aim, bound = Infinity, below = Infinity, evenness = 0 } = options;
  const isSum = aim === 'sum';
  const count = peers.length;
  if (fixed !== undefined && fixed.length !== count) return undefined;
  const width = units + 1;
  const froms = scratch.froms(count * width);
  let [before, after] = scratch.rows(width);
  before.fill(Infinity, 0, width);
  before[0] = 0;
  for (const [stage, peer] of peers.entries()) {
    const costs = stages[peer];
    if (costs === undefined) return undefined;
    const previous = peers[stage - 1];
    const hop = previous === undefined ? 0 : (hops[previous * stages.length + peer] ?? Infinity);
    after.fill(Infinity, 0, width);
    // Each stage behind this one needs a unit.
    const greatest = units - (count - 1 - stage);
    const only = fixed?.[stage] ?? (stage === count - 1 ? units : undefined);
    const last = only ?? greatest;
    for (let from = stage; from < greatest; from += 1) {
      const placed = before[from] as number;
      if (placed >= below) continue;
      const start = isSum ? placed + hop : placed > hop ? placed : hop;
      const row = from * width;
      for (let to = only === undefined || only <= from ? from + 1 : only; to <= last; to += 1) {
        const cost = costs[row + to] as number;
        // More units never take less time.
        if (cost > bound || cost >= below) break;
        let all = start > cost ? start : cost;
        if (isSum) all = evenness === 0 ? start + cost : start + cost + (evenness * cost * cost) / bound;
        if (all < (after[to] as number) && all < below) {
          after[to] = all;
          froms[stage * width + to] = from;
        }
      }
    }
    [before, after] = [after, before];
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
