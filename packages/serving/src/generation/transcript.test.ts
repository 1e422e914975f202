import { expect, it } from 'vitest';

import { Transcript } from './transcript.ts';

const begin = { type: 'generation-begin', promptTokens: 1, promptHash: 'a'.repeat(64), maxTokens: 8 } as const;

it('holds the prompt, the limit, the tokens, the length of the text and the last state of the sampler', () => {
  const transcript = new Transcript();
  expect(transcript.continuation).toBeUndefined();
  transcript.add(begin);
  transcript.add({ type: 'text-delta', text: 'a😀', tokens: [1, 2], mu: 3 });
  transcript.add({ type: 'text-delta', text: '', tokens: [3] });
  const resume = { promptHash: begin.promptHash, tokens: [1, 2, 3], emittedCharacters: 3, mu: 3 };
  expect(transcript.continuation).toEqual({ maxTokens: 8, resume });
});

it('is empty until something was passed on that another replica would say again', () => {
  const transcript = new Transcript();
  transcript.add(begin);
  transcript.add({ type: 'text-delta', text: '', tokens: [] });
  expect(transcript.isEmpty).toBe(true);
  transcript.add({ type: 'text-delta', text: '', tokens: [7] });
  expect(transcript.isEmpty).toBe(false);
});
