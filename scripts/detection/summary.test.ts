import { expect, test } from 'vitest';

import { summarize } from './summary.ts';

test('names values that were measured, whatever their order', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(summarize(values)).toEqual({ p50: 50, p95: 95, max: 100, n: 100 });
  expect(summarize([3, 1.6])).toEqual({ p50: 2, p95: 3, max: 3, n: 2 });
  expect(summarize([7])).toEqual({ p50: 7, p95: 7, max: 7, n: 1 });
  expect(() => summarize([])).toThrow(RangeError);
});
