import { expect, it } from 'vitest';

import type { GenerationUpdate } from '../generation/generate.ts';
import { answerEvents } from './answer-events.ts';

const begin: GenerationUpdate = {
  type: 'generation-begin',
  promptTokens: 1,
  promptHash: 'a'.repeat(64),
  maxTokens: 8,
};
const delta = (text: string, token: number): GenerationUpdate => ({ type: 'text-delta', text, tokens: [token] });
const report = {
  finishReason: 'stop',
  usage: { promptTokens: 1, completionTokens: 2 },
  timings: { firstTokenMs: 1, decodeMs: 1 },
} as const;
const end: GenerationUpdate = { type: 'generation-end', ...report };

async function* generation(updates: readonly GenerationUpdate[], onLeave = () => undefined as void) {
  try {
    yield* updates;
  } finally {
    onLeave();
  }
}

it('makes one part of all text, between the begin and the finish', async () => {
  const events = await Array.fromAsync(answerEvents(generation([begin, begin, delta('a', 1), delta('b', 2), end])));
  expect(events).toEqual([
    { type: 'begin', promptHash: 'a'.repeat(64), maxTokens: 8 },
    { type: 'begin', promptHash: 'a'.repeat(64), maxTokens: 8 },
    { type: 'part-start', part: 'text' },
    { type: 'part-delta', text: 'a', tokens: [1] },
    { type: 'part-delta', text: 'b', tokens: [2] },
    { type: 'part-end' },
    { type: 'finish', ...report },
  ]);
});

it('makes no part of an answer without text', async () => {
  const events = await Array.fromAsync(answerEvents(generation([begin, end])));
  expect(events.map(({ type }) => type)).toEqual(['begin', 'finish']);
});

it('leaves the generation when its reader leaves', async () => {
  let hasLeft = false;
  const left = () => {
    hasLeft = true;
  };
  for await (const event of answerEvents(generation([begin, delta('a', 1), delta('b', 2), end], left)))
    if (event.type === 'part-delta') break;
  expect(hasLeft).toBe(true);
});
