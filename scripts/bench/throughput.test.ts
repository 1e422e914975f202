import { expect, it } from 'vitest';

import { throughputOf } from './throughput.ts';

/** An answer whose tokens come at these moments. */
const answer = (startedMs: number, arrivalsMs: readonly number[], completionTokens = arrivalsMs.length) => ({
  completionTokens,
  lead: undefined,
  startedMs,
  arrivalsMs,
});

it('counts all from the first request to the last token', () => {
  const { completionTokens, tokensPerSecond } = throughputOf([
    answer(0, [500, 600, 700]),
    answer(100, [800, 900, 1000]),
  ]);
  expect(completionTokens).toBe(6);
  expect(tokensPerSecond).toBeCloseTo(6);
});

it('is steady while all answers are being written', () => {
  const first = answer(0, [100, 200, 300, 400, 500]);
  const second = answer(0, [300, 400, 500, 600, 700]);
  expect(throughputOf([first, second]).steadyTokensPerSecond).toBeCloseTo(4 / 0.2);
});

it('takes no answers that came one after the other for steady ones', () => {
  expect(throughputOf([answer(0, [100, 200]), answer(0, [300, 400])]).steadyTokensPerSecond).toBe(0);
});

it('spreads tokens over pieces where some hold more than one', () => {
  expect(throughputOf([answer(0, [0, 100, 200], 6)]).steadyTokensPerSecond).toBeCloseTo(20);
});

it('says how answers were shared', () => {
  const answers = ['a', 'b', 'a'].map((lead) => ({ ...answer(0, [1, 2]), lead }));
  expect(throughputOf(answers).answersPerLead).toEqual([2, 1]);
});
