import { leastRests, upperBounds } from './bounds.ts';
import type { Aim, Chain, ChainProblem } from './problem.ts';

/** Most peers of which every set and order is tried. */
export const maxExactPeers = 8;

/**
 * Finds the best chain of each length, over every set and order of the peers and every place to cut. Exact, by dynamic
 * programming over (set of peers, last of them, units placed). Of equal chains the first is taken. Starts of which no end
 * can be as good as a chain that is known are left out ({@link leastRests}, {@link upperBounds}).
 *
 * @param most greatest length
 * @param least shortest length that is looked for. Default: 1
 * @returns the chains by length, undefined where there is none or none was looked for; nothing at 0
 */
export function bestChains(problem: ChainProblem, aim: Aim, most: number, least = 1): readonly (Chain | undefined)[] {
  const search = new Search(problem, aim, { least, most: Math.min(most, problem.stages.length) });
  // The way back depends on both ends of the chain, so each lead is a search of its own.
  if (problem.returns === undefined) search.run(undefined);
  else for (const lead of problem.stages.keys()) search.run(lead);
  return search.found;
}

/** The end of a chain that was found: its last peer, where that one's stage begins, and the peers of the chain as bits. */
interface ChainEnd {
  readonly cost: number;
  readonly peers: number;
  readonly last: number;
  readonly from: number;
}

class Search {
  readonly found: (Chain | undefined)[];
  readonly #problem: ChainProblem;
  readonly #isSum: boolean;
  readonly #shortest: number;
  readonly #most: number;
  /** Least costs, by set of peers, last peer and units placed. */
  readonly #costs: Float64Array;
  /** Least costs of a start up to each place, hop to the next peer included. */
  readonly #before: Float64Array;
  /** Costs above which no chain of each length is looked for. */
  readonly #atMost: number[];
  readonly #rests: readonly Float64Array[];
  /** Greatest costs of starts worth following: at each place, with as many stages as they have. */
  readonly #limits: readonly Float64Array[];
  /** The greatest of those of all places. */
  readonly #greatestLimits: number[];

  constructor(problem: ChainProblem, aim: Aim, { least, most }: { readonly least: number; readonly most: number }) {
    const { stages, units } = problem;
    this.#problem = problem;
    this.#isSum = aim === 'sum';
    this.#shortest = least;
    this.#most = most;
    this.#costs = new Float64Array(2 ** stages.length * stages.length * (units + 1));
    this.#before = new Float64Array(units + 1);
    this.found = Array.from({ length: most + 1 }, () => undefined);
    this.#atMost = [...upperBounds(problem, aim, most)];
    this.#rests = leastRests(problem, aim, most);
    this.#limits = Array.from({ length: most + 1 }, () => new Float64Array(units + 1));
    this.#greatestLimits = this.#limits.map(() => -1);
  }

  /** Searches the chains of one lead, or of all. */
  run(lead: number | undefined): void {
    const { stages, returns, units } = this.#problem;
    const ends: (ChainEnd | undefined)[] = [];
    const end = (count: number, one: ChainEnd): void => {
      const best = ends[count]?.cost ?? this.found[count]?.cost ?? Infinity;
      if (one.cost < best) ends[count] = one;
    };
    this.#costs.fill(Infinity);
    this.#limit(lead);
    for (const first of stages.keys()) {
      if (lead === undefined || first === lead) this.#begin(first, end);
    }
    for (let peers = 1; peers < 2 ** stages.length; peers += 1) {
      const count = countBits(peers);
      if (count >= this.#most || (lead !== undefined && ((peers >> lead) & 1) === 0)) continue;
      for (const next of stages.keys()) {
        if ((peers >> next) & 1 || !this.#gather(peers, next, this.#limits[count])) continue;
        const back = lead === undefined ? 0 : (returns?.[next * stages.length + lead] ?? 0);
        this.#finish({ peers, count, next, back }, end);
        if (count + 1 < this.#most) this.#extend(peers, count, next);
      }
    }
    for (const [count, one] of ends.entries()) {
      if (one === undefined) continue;
      this.found[count] = this.#follow(one, units);
      this.#atMost[count] = one.cost;
    }
  }

  /** Finds out how much the starts of one lead's chains, or of all, may cost at most. */
  #limit(lead: number | undefined): void {
    const { stages, returns } = this.#problem;
    let back = 0;
    if (lead !== undefined && returns !== undefined) {
      back = Infinity;
      for (const tail of stages.keys()) {
        if (tail !== lead) back = Math.min(back, returns[tail * stages.length + lead] ?? Infinity);
      }
    }
    for (const [count, limits] of this.#limits.entries()) {
      limits.fill(-1);
      for (let more = Math.max(1, this.#shortest - count); count + more <= this.#most; more += 1) {
        const [atMost, rest] = [this.#atMost[count + more] ?? Infinity, this.#rests[more]];
        if (rest === undefined) continue;
        for (let place = 0; place < limits.length; place += 1) {
          const least = this.#isSum ? (rest[place] as number) + back : Math.max(rest[place] as number, back);
          // The greatest of all parts is no more than that, however much the start costs up to there.
          const limit = least === Infinity ? -1 : this.#isSum ? atMost - least : least <= atMost ? atMost : -1;
          if (limit > (limits[place] as number)) limits[place] = limit;
        }
      }
      this.#greatestLimits[count] = limits.reduce((greatest, limit) => Math.max(greatest, limit), -1);
    }
  }

  #begin(first: number, end: (count: number, one: ChainEnd) => void): void {
    const { stages, units, ends } = this.#problem;
    const costs = stages[first];
    if (costs === undefined) return;
    const [least, greatest] = ends === undefined ? [1, units - 1] : [ends[0] ?? units, ends[0] ?? units];
    const base = this.#at(1 << first, first);
    if (this.#shortest <= 1 && (ends === undefined || ends.length === 1)) {
      end(1, { cost: costs[units] ?? Infinity, peers: 1 << first, last: first, from: 0 });
    }
    for (let to = least; to <= Math.min(greatest, units - 1); to += 1) this.#costs[base + to] = costs[to] ?? Infinity;
  }

  /** Fills in the least costs of a set's chains within limits, with the hop to a next peer. Returns whether there are any. */
  #gather(peers: number, next: number, limits?: Float64Array): boolean {
    const { stages, hops, units } = this.#problem;
    const before = this.#before.fill(Infinity);
    const costs = this.#costs;
    let isAny = false;
    for (let last = 0; last < stages.length; last += 1) {
      if (((peers >> last) & 1) === 0) continue;
      const hop = hops[last * stages.length + next] ?? Infinity;
      const base = this.#at(peers, last);
      for (let place = 1; place < units; place += 1) {
        const cost = costs[base + place] as number;
        if (cost === Infinity || (limits !== undefined && cost > (limits[place] as number))) continue;
        const sum = this.#isSum ? cost + hop : Math.max(cost, hop);
        if (sum < (before[place] as number)) {
          before[place] = sum;
          isAny = true;
        }
      }
    }
    return isAny;
  }

  #finish(
    { peers, count, next, back }: { peers: number; count: number; next: number; back: number },
    end: (count: number, one: ChainEnd) => void,
  ): void {
    const { units, ends } = this.#problem;
    if (count + 1 < this.#shortest || (ends !== undefined && ends.length !== count + 1)) return;
    const { cost, from } = this.#least(next, units);
    const all = this.#isSum ? cost + back : Math.max(cost, back);
    if (cost < Infinity) end(count + 1, { cost: all, peers: peers | (1 << next), last: next, from });
  }

  #extend(peers: number, count: number, next: number): void {
    const { units, ends, stages } = this.#problem;
    const before = this.#before;
    const costs = stages[next];
    if (costs === undefined) return;
    const all = this.#costs;
    const isSum = this.#isSum;
    const base = this.#at(peers | (1 << next), next);
    const most = this.#greatestLimits[count + 1] ?? Infinity;
    const [least, greatest] =
      ends === undefined ? [count + 1, units - 1] : [ends[count] ?? units, Math.min(ends[count] ?? units, units - 1)];
    for (let from = count; from < greatest; from += 1) {
      const start = before[from] as number;
      if (start === Infinity) continue;
      const row = from * (units + 1);
      for (let to = Math.max(from + 1, least); to <= greatest; to += 1) {
        const stage = costs[row + to] as number;
        const cost = isSum ? start + stage : start > stage ? start : stage;
        // More units never take less memory or time.
        if (cost > most || cost === Infinity) break;
        if (cost < (all[base + to] as number)) all[base + to] = cost;
      }
    }
  }

  /** Returns the best begin of a next peer's stage that ends at a place, by what was gathered for it. */
  #least(next: number, to: number): { readonly cost: number; readonly from: number } {
    const { stages, units } = this.#problem;
    const costs = stages[next];
    let best = { cost: Infinity, from: 0 };
    for (let from = 1; from < to; from += 1) {
      const start = this.#before[from] as number;
      const stage = costs?.[from * (units + 1) + to] ?? Infinity;
      const cost = this.#isSum ? start + stage : Math.max(start, stage);
      if (cost < best.cost) best = { cost, from };
    }
    return best;
  }

  /** Follows a chain back from its end. */
  #follow({ cost, peers: all, last: tail, from: begin }: ChainEnd, units: number): Chain {
    const { stages, hops } = this.#problem;
    const [chain, ends] = [[tail], [units]];
    let [peers, next, place] = [all & ~(1 << tail), tail, begin];
    while (peers !== 0) {
      let [best, last] = [Infinity, 0];
      for (const one of stages.keys()) {
        if (((peers >> one) & 1) === 0) continue;
        const so = this.#costs[this.#at(peers, one) + place] ?? Infinity;
        const hop = hops[one * stages.length + next] ?? Infinity;
        const sum = this.#isSum ? so + hop : Math.max(so, hop);
        if (sum < best) [best, last] = [sum, one];
      }
      chain.unshift(last);
      ends.unshift(place);
      peers &= ~(1 << last);
      if (peers !== 0) {
        this.#gather(peers, last);
        place = this.#least(last, place).from;
      }
      next = last;
    }
    return { peers: chain, ends, cost };
  }

  #at(peers: number, last: number): number {
    const { stages, units } = this.#problem;
    return (peers * stages.length + last) * (units + 1);
  }
}

function countBits(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
