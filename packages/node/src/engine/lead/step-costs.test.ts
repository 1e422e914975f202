import { describe, expect, it } from 'vitest';

import { bestDraftLength } from './speculation.ts';
import { StepCosts } from './step-costs.ts';

function measured(points: Readonly<Record<number, number>>): StepCosts {
  const costs = new StepCosts();
  for (const [rows, ms] of Object.entries(points)) costs.observe('decode', Number(rows), ms);
  return costs;
}

/** A machine bound by memory bandwidth: rows that come along cost little. */
const memoryBound = measured({ 1: 10, 16: 14, 64: 26 });
/** One bound by arithmetic: each row costs as much as the first. */
const arithmeticBound = measured({ 1: 10, 16: 160, 64: 640 });

describe('the cost of a micro-batch', () => {
  it('is unknown before anything ran', () => {
    expect(new StepCosts().estimate(1)).toBeUndefined();
  });

  it('lies on the line between the nearest measurements, and goes on along the last', () => {
    expect(memoryBound.estimate(40)).toBeCloseTo(20);
    expect(memoryBound.estimate(128)).toBeCloseTo(42);
  });

  it('is taken to grow with the rows while just one size has run', () => {
    expect(measured({ 1: 10 }).estimate(8)).toBeCloseTo(80);
  });

  it('is taken from prompts, and more than theirs, as long as so many rows were never decoded', () => {
    const costs = measured({ 1: 10 });
    costs.observe('prompt', 32, 60);
    expect(costs.estimate(32)).toBeCloseTo(75);
    costs.observe('decode', 32, 64);
    expect(costs.estimate(32)).toBeCloseTo(64);
  });

  it('follows the machine when it gets slower', () => {
    const costs = measured({ 1: 10 });
    for (let run = 0; run < 50; run += 1) costs.observe('decode', 1, 30);
    expect(costs.estimate(1)).toBeGreaterThan(29);
  });
});

describe('the best draft length', () => {
  const best = (costs: StepCosts, hitRate: number, most = 32) =>
    bestDraftLength(costs, { otherRows: 0, otherTokens: 0, hitRate, most });

  it('is longer, the likelier draft tokens are right', () => {
    const lengths = [0.3, 0.7, 0.95].map((hitRate) => best(memoryBound, hitRate));
    expect(lengths).toEqual([...lengths].sort((first, second) => first - second));
    expect(lengths[2]).toBeGreaterThan(lengths[0] ?? 0);
  });

  it('is 0 where a draft token costs as much as it can save', () => {
    expect(best(arithmeticBound, 0.99)).toBe(0);
  });

  it('is 0 for draft tokens that are seldom right', () => {
    expect(best(memoryBound, 0.05)).toBe(0);
  });

  it('keeps to what there is room for', () => {
    expect(best(memoryBound, 0.99, 3)).toBe(3);
  });

  it('is shorter beside sequences that would have to wait for the draft tokens', () => {
    const beside = bestDraftLength(memoryBound, { otherRows: 15, otherTokens: 15, hitRate: 0.7, most: 32 });
    expect(beside).toBeLessThanOrEqual(best(memoryBound, 0.7));
  });
});
