import { describe, expect, it } from 'vitest';

import { randomNumbers } from '../../testing/fixtures.ts';
import { bestChains } from './exact.ts';
import { goodChains } from './heuristic.ts';
import { bestCut } from './ordered.ts';
import { costOf, type Aim, type ChainProblem } from './problem.ts';

const aims: readonly Aim[] = ['sum', 'max'];

interface Size {
  readonly peers: number;
  readonly units: number;
}

/** Makes a problem with whole costs, so that sums are equal whatever their order. Peers have room for some of the units. */
function randomProblem(seed: number, { peers, units }: Size, room = 1): ChainProblem {
  const random = randomNumbers(seed);
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  const weights = Array.from({ length: units }, () => upTo(9));
  const output = upTo(9);
  const all = weights.reduce((sum, one) => sum + one, 0) + output;
  const stages = Array.from({ length: peers }, () => {
    const [perWeight, bytes] = [upTo(5), upTo(all) * room];
    const costs = new Float64Array((units + 1) ** 2).fill(Infinity);
    for (let from = 0; from < units; from += 1) {
      let taken = 0;
      for (let to = from + 1; to <= units; to += 1) {
        taken += weights[to - 1] ?? 0;
        const needed = taken + (to === units ? output : 0);
        if (needed <= bytes) costs[from * (units + 1) + to] = needed * perWeight;
      }
    }
    return costs;
  });
  const pairs = () => Float64Array.from({ length: peers ** 2 }, () => upTo(30) - 1);
  return { units, stages, hops: pairs(), returns: pairs() };
}

/** Yields every chain, whatever its cost. */
function* allChains(
  { units, stages }: ChainProblem,
  peers: readonly number[] = [],
  ends: readonly number[] = [],
): Generator<{ readonly peers: readonly number[]; readonly ends: readonly number[] }> {
  const from = ends.at(-1) ?? 0;
  if (from === units) return yield { peers, ends };
  for (const peer of stages.keys()) {
    if (peers.includes(peer)) continue;
    for (let to = from + 1; to <= units; to += 1)
      yield* allChains({ units, stages } as ChainProblem, [...peers, peer], [...ends, to]);
  }
}

function leastCosts(problem: ChainProblem, aim: Aim): readonly number[] {
  const least = Array.from({ length: problem.stages.length + 1 }, () => Infinity);
  for (const chain of allChains(problem)) {
    const count = chain.peers.length;
    least[count] = Math.min(least[count] ?? Infinity, costOf(chain, problem, aim));
  }
  return least;
}

describe('the exact search', () => {
  it('equals brute force on 1,000 random instances, for both aims and every length', () => {
    let possible = 0;
    for (let seed = 0; seed < 1000; seed += 1) {
      const size = { peers: 1 + (seed % 4), units: 1 + (seed % 6) };
      const problem = randomProblem(seed, size);
      for (const aim of aims) {
        const least = leastCosts(problem, aim);
        const found = bestChains(problem, aim, size.peers);
        for (let count = 1; count <= size.peers; count += 1) {
          expect(found[count]?.cost ?? Infinity, `seed ${seed}, ${aim}, ${count} stages`).toBe(least[count]);
          const chain = found[count];
          if (chain === undefined) continue;
          possible += 1;
          expect(costOf(chain, problem, aim)).toBe(chain.cost);
          expect(new Set(chain.peers).size).toBe(count);
        }
      }
    }
    expect(possible).toBeGreaterThan(1000);
  });

  it('keeps to places that are given', () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const ends = [2, 3, 6];
      const problem = { ...randomProblem(seed, { peers: 4, units: 6 }), ends };
      for (const aim of aims) {
        const costs = [...allChains(problem)]
          .filter((chain) => chain.ends.join() === ends.join())
          .map((chain) => costOf(chain, problem, aim));
        const found = bestChains(problem, aim, 4);
        expect(found[3]?.cost ?? Infinity).toBe(Math.min(Infinity, ...costs));
        expect([found[1], found[2], found[4]]).toEqual([undefined, undefined, undefined]);
      }
    }
  });

  it('looks at no chain that is longer than asked for', () => {
    expect(bestChains(randomProblem(1, { peers: 4, units: 6 }), 'sum', 2)).toHaveLength(3);
  });
});

describe('the cut of a given order', () => {
  it('is the best of all cuts, and keeps to a bound', () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const problem = randomProblem(seed, { peers: 3, units: 6 });
      const order = [2, 0, 1];
      const chains = [...allChains(problem)].filter(({ peers }) => peers.join() === order.join());
      for (const aim of aims) {
        const costs = chains.map((chain) => costOf(chain, problem, aim));
        expect(bestCut(order, problem, { aim })?.cost ?? Infinity).toBe(Math.min(Infinity, ...costs));
      }
      const bound = 60;
      const within = chains.filter(({ peers, ends }) =>
        peers.every(
          (peer, stage) =>
            costOf({ peers: [peer], ends: [ends[stage] ?? 0] }, shifted(problem, ends[stage - 1] ?? 0), 'sum') <= bound,
        ),
      );
      const costs = within.map((chain) => costOf(chain, problem, 'sum'));
      expect(bestCut(order, problem, { aim: 'sum', bound })?.cost ?? Infinity).toBe(Math.min(Infinity, ...costs));
    }
  });
});

/** Moves the stages of a problem so that those from a place begin at 0. */
function shifted(problem: ChainProblem, place: number): ChainProblem {
  const width = problem.units + 1;
  return { ...problem, stages: problem.stages.map((costs) => costs.subarray(place * width)) };
}

describe('the search over more peers', () => {
  it('is within 15 % of the best chain of its length in nine of ten cases', () => {
    const gaps: number[] = [];
    let missed = 0;
    for (let seed = 0; seed < 25; seed += 1) {
      const problem = randomProblem(seed, { peers: 10, units: 10 }, 0.7);
      for (const aim of aims) {
        const best = bestChains(problem, aim, 6);
        const first = best.findIndex((chain) => chain !== undefined);
        if (first < 0) continue;
        const good = goodChains(problem, aim, { least: 1, most: 6 });
        for (let count = first; count < Math.min(first + 3, 7); count += 1) {
          const [exact, near] = [best[count]?.cost, good[count]?.cost];
          if (exact === undefined) continue;
          if (near === undefined) missed += 1;
          else gaps.push(near / exact - 1);
        }
      }
    }
    gaps.sort((one, other) => one - other);
    if (process.env['SKEIN_GAPS'] !== undefined) {
      const at = (share: number) => (gaps[Math.floor(share * (gaps.length - 1))] ?? 0).toFixed(3);
      process.stdout.write(`gaps of ${gaps.length}: p50 ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)}, missed ${missed}\n`);
    }
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
    expect(gaps[Math.floor(0.9 * gaps.length)]).toBeLessThan(0.15);
    expect(missed).toBeLessThan(gaps.length / 20);
  });
});
