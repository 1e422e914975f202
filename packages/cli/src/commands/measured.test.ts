import { Generation, defaultDeadlines, type GenerationTimings } from '@skein/client';
import { expect, test } from 'vitest';

import { measured } from './measured.ts';

function generationOf(texts: readonly string[], timings?: GenerationTimings): Generation {
  const begin = async function* () {
    for (const text of texts) yield { text };
    const usage = { promptTokens: 1, completionTokens: texts.length };
    return { finishReason: 'stop' as const, usage, ...(timings && { timings }) };
  };
  return new Generation(begin, { deadlines: defaultDeadlines });
}

async function measure(generation: Generation) {
  // Asked at 0 ms, then 100 ms from delta to delta.
  let nowMs = -100;
  const answer = measured(generation, () => (nowMs += 100));
  const texts = await Array.fromAsync(answer.text);
  return { texts, ...(await answer.result()) };
}

test('takes the time to the first token, and the speed of those after it', async () => {
  const { texts, ttftMs, tokensPerSecond } = await measure(generationOf(['a', 'b', 'c']));
  expect(texts).toEqual(['a', 'b', 'c']);
  expect([ttftMs, tokensPerSecond]).toEqual([100, 10]);
});

test('believes the lead about its own speed', async () => {
  const { tokensPerSecond } = await measure(generationOf(['a', 'b', 'c'], { firstTokenMs: 5, decodeMs: 50 }));
  expect(tokensPerSecond).toBe(40);
});

test('names no speed for a single token', async () => {
  expect((await measure(generationOf(['a']))).tokensPerSecond).toBe(0);
});
