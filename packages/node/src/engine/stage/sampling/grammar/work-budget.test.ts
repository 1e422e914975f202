import { describe, expect, it } from 'vitest';

import { WorkBudget } from './work-budget.ts';

/** Spends until there is nothing left, and returns how many steps that were. */
function spendAll(budget: WorkBudget): number {
  for (let steps = 0; steps < 10_000; steps += 1) {
    try {
      budget.spend();
    } catch {
      return steps;
    }
  }
  return 10_000;
}

describe('the budget of work of a sequence', () => {
  it('is large at first, and what a token brings from then on', () => {
    const budget = new WorkBudget({ steps: 1000, stepsPerToken: 50 });
    expect(spendAll(budget)).toBe(1000);
    for (let token = 0; token < 3; token += 1) {
      budget.nextToken();
      expect(spendAll(budget)).toBeLessThanOrEqual(50);
    }
  });

  it('has one time for all tokens of a replay, and its own for each token after it', () => {
    let now = 0;
    const nowMs = (): number => now;
    const plenty = { steps: 100_000, stepsPerToken: 100_000, milliseconds: 50, replayMilliseconds: 100, nowMs };
    const budget = new WorkBudget(plenty);
    const work = (): void => {
      now += 40;
      for (let steps = 0; steps < 5000; steps += 1) budget.spend();
    };
    const followed: number[] = [];
    const follow = (): void => {
      for (const token of budget.replay([1, 2, 3])) {
        work();
        followed.push(token);
      }
    };
    expect(follow).toThrow(/too many ways/);
    expect(followed).toEqual([1, 2]);
    for (let token = 0; token < 5; token += 1) {
      budget.nextToken();
      expect(work).not.toThrow();
    }
  });

  it('says what to do when it is used up', () => {
    const budget = new WorkBudget({ steps: 0 });
    expect(() => budget.spend()).toThrow(
      expect.objectContaining({
        code: 'invalid-request',
        message: expect.stringContaining('avoid alternatives that begin alike') as string,
        details: { param: 'grammar' },
      }),
    );
  });

  it('saves what tokens leave over, up to what it was', () => {
    const budget = new WorkBudget({ steps: 100, stepsPerToken: 50 });
    for (let step = 0; step < 90; step += 1) budget.spend();
    for (let token = 0; token < 10; token += 1) budget.nextToken();
    expect(spendAll(budget)).toBe(100);
  });

  it('gives each token its own time', () => {
    let nowMs = 0;
    const budget = new WorkBudget({ steps: 1e9, milliseconds: 10, nowMs: () => nowMs });
    nowMs = 11;
    budget.nextToken();
    expect(spendAll(budget)).toBe(10_000);
    nowMs = 22;
    expect(spendAll(budget)).toBeLessThan(10_000);
  });
});
