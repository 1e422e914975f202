import { usageSchema } from '@skein/protocol';
import { expect, test } from 'vitest';

import { addInterruptions, AnswerTimes, withInterruptions } from './answer-times.ts';

const usage = { promptTokens: 1, completionTokens: 2 };
const end = {
  type: 'generation-end',
  finishReason: 'stop',
  usage,
  timings: { firstTokenMs: 1, decodeMs: 1 },
} as const;

test('counts each pause once, from what came last to what comes next', () => {
  let nowMs = 0;
  const times = new AnswerTimes(() => nowMs);
  const at = (ms: number, act: () => void) => {
    nowMs = ms;
    act();
  };
  at(10, () => times.came());
  at(15, () => times.pause());
  at(40, () => times.came());
  at(50, () => times.came());
  expect(times.interruptions).toEqual({ failovers: 1, pauseMs: 30 });
  expect(times.complete(end)).toMatchObject({
    usage: { ...usage, failovers: 1, pauseMs: 30 },
    timings: { firstTokenMs: 10, decodeMs: 40 },
  });
});

test('tells no more failovers than a usage may have, however often replicas were lost', () => {
  const times = new AnswerTimes(() => 0);
  for (let count = 0; count < 300; count += 1) {
    times.pause();
    times.came();
  }
  expect(times.complete(end).usage.failovers).toBe(255);
  expect(usageSchema.safeParse(times.complete(end).usage).success).toBe(true);
  const twice = addInterruptions(times.interruptions, times.interruptions);
  expect(usageSchema.safeParse(withInterruptions(usage, twice)).success).toBe(true);
});

test('adds the interruptions of an earlier part to the usage, where there were any', () => {
  expect(withInterruptions(usage, { failovers: 0, pauseMs: 0 })).toEqual(usage);
  const earlier = { failovers: 2, pauseMs: 7 };
  expect(withInterruptions(usage, earlier)).toEqual({ ...usage, ...earlier });
  expect(withInterruptions({ ...usage, failovers: 1, pauseMs: 3 }, earlier)).toEqual({
    ...usage,
    failovers: 3,
    pauseMs: 10,
  });
});
