import { seededRandom } from '../fixtures/random.ts';

/**
 * The kinds of faults, by what they happen to.
 *
 * - `kill`: SIGKILL; a daemon is started again later. `end`: SIGTERM, likewise
 * - `freeze`: SIGSTOP for a while
 * - `unplug`: the cable is pulled for a while
 * - `cut`: two peers do not reach each other for a while; everybody else reaches both
 * - `delay`: 100 ms in each direction between one peer and the others
 * - `fill`: the disk with the data directory is full for a while
 */
export const faultKinds = [
  ['kill', 'engine'],
  ['kill', 'peer'],
  ['kill', 'coordinator'],
  ['end', 'engine'],
  ['end', 'peer'],
  ['end', 'coordinator'],
  ['freeze', 'engine'],
  ['freeze', 'peer'],
  ['freeze', 'coordinator'],
  ['unplug', 'peer'],
  ['unplug', 'coordinator'],
  ['cut', 'peer'],
  ['delay', 'peer'],
  ['fill', 'peer'],
  ['fill', 'coordinator'],
] as const;

type FaultKind = (typeof faultKinds)[number];

/** One fault, decided before the run. Shares are in [0, 1), times in milliseconds. */
export interface Fault {
  readonly action: FaultKind[0];
  readonly target: FaultKind[1];
  /** Share that selects the victim from the targets that exist then. */
  readonly share: number;
  /** Time of normal work before it. */
  readonly afterMs: number;
  /** Time for which it lasts, or an ended daemon is not started again. */
  readonly forMs: number;
}

const leastAfterMs = 200;
const mostAfterMs = 1500;
/** Shortest fault. Members count as dead after 1.2 s of silence: some faults are shorter than that, most are longer. */
const leastMs = 300;
const mostMs = 6000;
const mostGoneMs = 2000;

/** Draws faults without end. In each round every kind comes once, in an order that the seed decides. */
export function* drawFaults(seed: number): Generator<Fault, never> {
  const random = seededRandom(seed);
  const between = (least: number, most: number) => Math.round(least + random.uniform() * (most - least));
  for (;;) {
    const order = faultKinds.map((kind) => ({ kind, key: random.uniform() })).sort((one, other) => one.key - other.key);
    for (const { kind } of order) {
      const [action, target] = kind;
      const isGone = action === 'kill' || action === 'end';
      yield {
        action,
        target,
        share: random.uniform(),
        afterMs: between(leastAfterMs, mostAfterMs),
        forMs: isGone ? between(0, mostGoneMs) : between(leastMs, mostMs),
      };
    }
  }
}
