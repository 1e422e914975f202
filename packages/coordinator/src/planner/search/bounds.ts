import { bestCut } from './ordered.ts';
import type { Aim, ChainProblem } from './problem.ts';

/**
 * Returns the least that the rest of a chain can cost: at `rests[stages][place]` so many further stages from a place to
 * the end, each with the hop before it, without the way back. A bound from below: as if one peer could hold several of
 * them, over the shortest hops.
 *
 * @param most greatest length of chains
 */
export function leastRests(
  { units, stages, hops, ends }: ChainProblem,
  aim: Aim,
  most: number,
): readonly Float64Array[] {
  const width = units + 1;
  const isSum = aim === 'sum';
  let hop = Infinity;
  for (const from of stages.keys()) {
    for (const to of stages.keys()) if (from !== to) hop = Math.min(hop, hops[from * stages.length + to] ?? Infinity);
  }
  const cheapest = new Float64Array(width * width).fill(Infinity);
  for (const costs of stages) {
    for (let from = 1; from < units; from += 1) {
      const end = (from + 1) * width;
      for (let index = from * width + from + 1; index < end; index += 1) {
        const cost = costs[index] as number;
        if (cost < (cheapest[index] as number)) cheapest[index] = cost;
      }
    }
  }
  const none = new Float64Array(width).fill(Infinity);
  none[units] = 0;
  const rests = [none];
  for (let count = 1; count < most; count += 1) {
    const after = rests[count - 1] as Float64Array;
    const rest = new Float64Array(width).fill(Infinity);
    const fixed = ends === undefined || ends.length <= count ? undefined : ends.at(-count - 1);
    for (let from = fixed ?? 1; from <= (fixed ?? units - count); from += 1) {
      const row = from * width;
      let best = Infinity;
      // The last of the stages ends with the last unit, the others leave a unit to each behind them.
      for (let to = count === 1 ? units : from + 1; to <= units - count + 1; to += 1) {
        const [stage, end] = [cheapest[row + to] as number, after[to] as number];
        const cost = isSum ? stage + end : stage > end ? stage : end;
        if (cost < best) best = cost;
      }
      rest[from] = isSum ? best + hop : Math.max(best, hop);
    }
    rests.push(rest);
  }
  return rests;
}

/** Returns costs that the best chains of each length do not exceed: those of the best cuts of two orders. */
export function upperBounds(problem: ChainProblem, aim: Aim, most: number): readonly number[] {
  const ranked = problem.stages.map((costs, peer) => {
    let [room, cost] = [0, Infinity];
    for (let to = 1; to < problem.units; to += 1) {
      const one = costs[to] as number;
      if (one < Infinity) [room, cost] = [to, one / to];
    }
    return { peer, room, cost };
  });
  const byCost = ranked.toSorted((one, other) => one.cost - other.cost);
  const byRoom = ranked.toSorted((one, other) => other.room - one.room);
  const costOf = (order: typeof ranked, length: number) => {
    const peers = order.slice(0, length).map(({ peer }) => peer);
    return bestCut(peers, problem, { aim })?.cost ?? Infinity;
  };
  return Array.from({ length: most + 1 }, (_, length) =>
    length < 2 ? Infinity : Math.min(costOf(byCost, length), costOf(byRoom, length)),
  );
}
