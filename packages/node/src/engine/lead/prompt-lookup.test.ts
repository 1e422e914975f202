import { describe, expect, it } from 'vitest';

import { PromptLookup } from './prompt-lookup.ts';

function lookupAfter(tokens: number[], ...drawn: readonly number[]): PromptLookup {
  const lookup = new PromptLookup(tokens);
  for (const token of drawn) {
    tokens.push(token);
    lookup.observe();
  }
  return lookup;
}

describe('prompt lookup', () => {
  it('predicts what followed the last tokens before', () => {
    expect(new PromptLookup([1, 2, 3, 4, 5, 6, 1, 2, 3]).predict(0, 3)).toEqual([4, 5, 6]);
  });

  it('prefers the place that agrees longest over the latest', () => {
    expect(new PromptLookup([7, 1, 2, 3, 40, 9, 2, 3, 50, 1, 2, 3]).predict(0, 1)).toEqual([40]);
  });

  it('leaves out what has been sent already', () => {
    expect(new PromptLookup([1, 2, 3, 4, 5, 6, 1, 2, 3]).predict(2, 2)).toEqual([6, 1]);
  });

  it('goes on with a loop for as long as it is asked', () => {
    expect(new PromptLookup([1, 2, 3, 1, 2, 3]).predict(0, 7)).toEqual([1, 2, 3, 1, 2, 3, 1]);
  });

  it('knows nothing of a text without repetition', () => {
    const lookup = new PromptLookup([1, 2, 3, 4]);
    expect(lookup.predict(0, 4)).toEqual([]);
    expect(lookup.hitRate).toBe(0);
  });

  it('trusts its predictions the more, the longer a copy goes on, and less after each that failed', () => {
    const passage = Array.from({ length: 40 }, (_, index) => 100 + index);
    const copying = lookupAfter([...passage, 1, 100], ...passage.slice(1, 30));
    expect(copying.hitRate).toBeGreaterThan(0.93);
    const failing = lookupAfter([5, 6, 5, 7, 5, 8, 5], 9, 5, 10, 5, 11, 5, 12, 5);
    expect(failing.hitRate).toBeLessThan(0.15);
  });
});
