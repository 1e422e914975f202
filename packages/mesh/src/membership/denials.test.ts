import { expect, test } from 'vitest';

import { Denials, type Denial } from './denials.ts';

function record(): { readonly told: Denial[]; readonly denials: Denials } {
  const told: Denial[] = [];
  return { told, denials: new Denials((denial) => told.push(denial)) };
}

test('tells of the first of a kind at once, and of the rest by their number', () => {
  const { told, denials } = record();
  for (const peer of ['a', 'b', 'c']) denials.add({ reason: 'not-a-member', address: '10.0.0.1', peer });
  denials.add({ reason: 'not-permitted', address: '10.0.0.1', peer: 'd' });
  expect(told.map(({ peer, count }) => [peer, count])).toEqual([
    ['a', 1],
    ['d', 1],
  ]);
  denials.stop();
  expect(told.slice(2)).toEqual([{ reason: 'not-a-member', address: '10.0.0.1', peer: undefined, count: 2 }]);
});

test('does not grow with the number of hosts that are refused', () => {
  const { told, denials } = record();
  for (let host = 0; host < 10_000; host += 1) denials.add({ reason: 'x', address: `${host}`, peer: undefined });
  denials.stop();
  expect(told.length).toBeLessThan(300);
  expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(10_000);
});
