import { expect, test } from 'vitest';

import { PrefixIndex, type PrefixHolder } from './prefix-index.ts';

/** Returns how many of a prompt's blocks each holder has. */
function held(index: PrefixIndex, holders: readonly PrefixHolder[], digests: readonly number[], nowMs = 0) {
  const lookUp = index.lookUp(digests, nowMs);
  return holders.map((holder) => index.foundBlocks(holder, lookUp));
}

test('finds the longest prefix that each replica holds', () => {
  const index = new PrefixIndex();
  const holders = Array.from({ length: 4 }, () => index.add());
  const [a, b, c] = holders as [PrefixHolder, PrefixHolder, PrefixHolder];
  index.change(a, { isAnew: false, added: [1, 2, 3], removed: [] });
  index.change(b, { isAnew: false, added: [1, 2, 3, 4, 5], removed: [] });
  index.change(c, { isAnew: false, added: [1, 7], removed: [] });
  expect(held(index, holders, [1, 2, 3, 4, 6])).toEqual([3, 4, 1, 0]);
  expect(held(index, holders, [1, 7])).toEqual([1, 1, 2, 0]);
  expect(held(index, holders, [9])).toEqual([0, 0, 0, 0]);
  expect(held(index, holders, [])).toEqual([0, 0, 0, 0]);
});

test('forgets what was evicted, what was held before a new beginning, and replicas that are gone', () => {
  const index = new PrefixIndex();
  const holders = [index.add(), index.add()];
  const [a, b] = holders as [PrefixHolder, PrefixHolder];
  for (const holder of holders) index.change(holder, { isAnew: false, added: [1, 2, 3], removed: [] });
  index.change(a, { isAnew: false, added: [], removed: [3] });
  expect(held(index, holders, [1, 2, 3])).toEqual([2, 3]);
  index.change(a, { isAnew: true, added: [1], removed: [] });
  expect(held(index, holders, [1, 2, 3])).toEqual([1, 3]);
  index.predict(b, [1, 2, 3, 4]);
  index.forget(b);
  expect(held(index, holders, [1, 2, 3, 4])).toEqual([1, 0]);
  index.change(a, { isAnew: true, added: [1, 2], removed: [] });
  index.remove(a);
  expect(held(index, [index.add(), b], [1, 2])).toEqual([0, 0]);
});

test('counts a replica that a prompt was sent to as its holder, until a moment after it was read', () => {
  const index = new PrefixIndex();
  const holder = index.add();
  const [first, second] = [index.predict(holder, [1, 2]), index.predict(holder, [1, 3])];
  expect(held(index, [holder], [1, 2], 60_000)).toEqual([2]);
  index.endAfter(first, { nowMs: 60_000, forMs: 2000 });
  expect(held(index, [holder], [1, 2], 61_999)).toEqual([2]);
  expect(held(index, [holder], [1, 2], 62_000)).toEqual([1]);
  index.change(holder, { isAnew: false, added: [1], removed: [] });
  index.endAfter(second, { nowMs: 70_000, forMs: 2000 });
  expect(held(index, [holder], [1, 3], 80_000)).toEqual([1]);
  index.change(holder, { isAnew: false, added: [], removed: [1] });
  expect(held(index, [holder], [1, 3], 80_000)).toEqual([0]);
});
