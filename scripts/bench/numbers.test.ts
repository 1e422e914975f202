import { expect, it } from 'vitest';

import { shortNumber } from './numbers.ts';

it.each([
  [0.022_896, '0.0229'],
  [0.9093, '0.909'],
  [1.061, '1.06'],
  [-1.2054, '-1.21'],
  [83.69, '83.7'],
  [2445.86, '2446'],
  [16, '16'],
  [0, '0'],
  [Number.NaN, '–'],
])('shows %d as %s', (value, text) => {
  expect(shortNumber(value)).toBe(text);
});
