import { expect, it } from 'vitest';

import { Turns } from './turns.ts';

it('gives each turn of the event loop to one, first come, first served', async () => {
  const turns = new Turns();
  const others: number[] = [];
  let turn = 0;
  const count = (): void => {
    turn += 1;
    if (others.length < 4) setImmediate(count);
  };
  setImmediate(count);
  const waiting = [0, 1, 2, 3].map(async (number) => {
    await turns.next();
    others.push(number);
    return turn;
  });
  const given = await Promise.all(waiting);
  expect(others).toEqual([0, 1, 2, 3]);
  expect(new Set(given).size).toBe(4);
});
