import { describe, expect, it } from 'vitest';

import { differenceOf, median, ratioOf, spreadOf } from './statistics.ts';

describe('median', () => {
  it('is the middle value, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  it('does not exist for nothing', () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('pairs', () => {
  it('are compared one by one, not by their medians', () => {
    expect(ratioOf([10, 30, 20], [5, 30, 40])).toEqual({ median: 1, min: 0.5, max: 2, pairs: 3 });
    expect(differenceOf([10, 30, 20], [5, 30, 40])).toEqual({ median: 0, min: -20, max: 5, pairs: 3 });
  });

  it('need series of one length', () => {
    expect(() => ratioOf([1, 2], [1])).toThrow(RangeError);
  });
});

it('gives the spread of a series that is compared with nothing', () => {
  expect(spreadOf([2, 8, 4])).toEqual({ median: 4, min: 2, max: 8, pairs: 3 });
});
