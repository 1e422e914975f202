import { seededRandom } from '../fixtures/random.ts';

export const faultSignals = ['SIGKILL', 'SIGTERM', 'SIGSTOP'] as const;
export const faultTargets = ['engine', 'peer', 'coordinator'] as const;

/** One fault, decided before the run. Shares are in [0, 1), times in milliseconds. */
export interface Fault {
  readonly signal: (typeof faultSignals)[number];
  readonly target: (typeof faultTargets)[number];
  /** Share that selects the victim from the targets that exist then. */
  readonly share: number;
  /** Time of normal work before it. */
  readonly afterMs: number;
  /** Time for which a stopped process stays stopped, or an ended daemon is not started again. */
  readonly forMs: number;
}

const leastAfterMs = 200;
const mostAfterMs = 1500;
/** Shortest stop. Members count as dead after 1.2 s of silence: some stops are shorter than that, most are longer. */
const leastStoppedMs = 300;
const mostStoppedMs = 6000;
const mostGoneMs = 2000;

/** Draws `count` faults. Every nine of them have each signal on each target once, in an order that the seed decides. */
export function drawFaults(count: number, seed: number): readonly Fault[] {
  const random = seededRandom(seed);
  const between = (least: number, most: number) => Math.round(least + random.uniform() * (most - least));
  const kinds = faultTargets.flatMap((target) => faultSignals.map((signal) => ({ signal, target })));
  const faults: Fault[] = [];
  while (faults.length < count) {
    const order = kinds.map((kind) => ({ kind, key: random.uniform() })).sort((one, other) => one.key - other.key);
    for (const { kind } of order) {
      const stays = kind.signal === 'SIGSTOP' ? between(leastStoppedMs, mostStoppedMs) : between(0, mostGoneMs);
      faults.push({ ...kind, share: random.uniform(), afterMs: between(leastAfterMs, mostAfterMs), forMs: stays });
    }
  }
  return faults.slice(0, count);
}
