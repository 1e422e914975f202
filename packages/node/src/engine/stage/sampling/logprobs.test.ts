import { describe, expect, it } from 'vitest';

import { logprobsOf } from './logprobs.ts';

describe('log-probabilities', () => {
  it('are the logarithm of the softmax, the likeliest first', () => {
    const { logprob, top } = logprobsOf(Float32Array.of(0, Math.log(3), -Infinity), 0, 2);
    expect(logprob).toBeCloseTo(Math.log(1 / 4), 5);
    expect(top.map(({ token }) => token)).toEqual([1, 0]);
  });

  it.each([
    ['no logit is a number', [NaN, NaN]],
    ['one is not', [1, NaN]],
    ['one is infinite', [Infinity, 1]],
    ['none is possible', [-Infinity, -Infinity]],
  ])('are numbers that can be written where %s', (_name, logits) => {
    for (const token of [0, 1]) {
      const { logprob, top } = logprobsOf(Float32Array.from(logits), token, 2);
      for (const value of [logprob, ...top.map((other) => other.logprob)]) expect(Number.isFinite(value)).toBe(true);
    }
  });
});
