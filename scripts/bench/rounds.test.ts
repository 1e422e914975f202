import { expect, it } from 'vitest';

import { measureRounds } from './rounds.ts';

it('alternates the order and leaves the warm-up out', async () => {
  const order: string[] = [];
  const variant = (name: string) => async (round: number) => {
    order.push(`${name}${round}`);
    return round * 10;
  };
  const lines: string[] = [];
  const values = await measureRounds(
    { ours: variant('a'), theirs: variant('b') },
    { rounds: 2, signal: new AbortController().signal, say: (line) => lines.push(line), describe: String },
  );
  expect(order).toEqual(['b0', 'a0', 'a1', 'b1', 'b2', 'a2']);
  expect(values).toEqual({ ours: [10, 20], theirs: [10, 20] });
  expect(lines[0]).toBe('warm-up: theirs: 0');
  expect(lines.at(-1)).toBe('round 2: ours: 20');
});

it('ends between two measurements when it shall stop', async () => {
  const controller = new AbortController();
  const variants = {
    only: async () => {
      controller.abort(new Error('interrupted'));
      return 1;
    },
  };
  const options = { rounds: 3, signal: controller.signal, say: () => undefined, describe: String };
  await expect(measureRounds(variants, options)).rejects.toThrow('interrupted');
});
