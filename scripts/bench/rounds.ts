import type { CaseContext } from './bench-case.ts';

export interface RoundsOptions<Value> extends Pick<CaseContext, 'rounds' | 'signal' | 'say'> {
  /** Describes one measurement in few words, for the progress. */
  readonly describe: (value: Value) => string;
}

/**
 * Measures each variant once a round, every other round in reverse, so that warming up and drift favour none. Each runs
 * once before, as round 0, which does not count: it pays for page faults and lazily made buffers.
 *
 * @returns the values of each variant, by round
 */
export async function measureRounds<Name extends string, Value>(
  variants: Readonly<Record<Name, (round: number) => Promise<Value>>>,
  { rounds, signal, say, describe }: RoundsOptions<Value>,
): Promise<Record<Name, Value[]>> {
  const names = Object.keys(variants) as Name[];
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Value[]>;
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of round % 2 === 0 ? names.toReversed() : names) {
      signal.throwIfAborted();
      const value = await variants[name](round);
      if (round > 0) values[name].push(value);
      say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${name}: ${describe(value)}`);
    }
  }
  return values;
}
