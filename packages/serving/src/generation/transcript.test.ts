import { describe, expect, it } from 'vitest';

import type { GenerationUpdate } from './generate.ts';
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

it('goes on from the state of an earlier run', () => {
  const earlier = { promptHash: begin.promptHash, tokens: [1, 2], emittedCharacters: 3, mu: 4 };
  const transcript = new Transcript(8, earlier);
  expect(transcript.continuation).toEqual({ maxTokens: 8, resume: earlier });
  expect(() => transcript.add({ ...begin, promptHash: 'b'.repeat(64) })).toThrow('another prompt');
  transcript.add({ type: 'text-delta', text: 'ab', tokens: [3] });
  const resume = { ...earlier, tokens: [1, 2, 3], emittedCharacters: 5 };
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

describe('a lead that does not keep to the request', () => {
  const text: GenerationUpdate = { type: 'text-delta', text: 'a', tokens: [1] };
  const violation = expect.objectContaining({ code: 'protocol-violation' }) as Error;

  it('may not send more tokens than it said, nor than were asked for', () => {
    const transcript = new Transcript(8);
    transcript.add(begin);
    expect(() => transcript.add({ ...text, tokens: Array.from({ length: 9 }, () => 1) })).toThrow(violation);
    expect(transcript.isEmpty).toBe(true);
    for (let count = 0; count < 8; count += 1) transcript.add(text);
    expect(() => transcript.add(text)).toThrow(violation);
    expect(() => new Transcript(7).add(begin)).toThrow(violation);
    const silent = new Transcript(1);
    silent.add(text);
    expect(() => silent.add(text)).toThrow(violation);
  });

  it('may not send text without end that belongs to no token', () => {
    const transcript = new Transcript();
    transcript.add({ ...text, text: 'a'.repeat(1000), tokens: [] });
    expect(() => transcript.add({ ...text, text: 'a'.repeat(1000), tokens: [] })).toThrow(violation);
  });

  it('goes on behind the same prompt, with as many tokens at most', () => {
    const transcript = new Transcript();
    transcript.add({ ...begin, promptHash: 'b'.repeat(64), maxTokens: 9 });
    transcript.add(begin);
    transcript.add(text);
    expect(() => transcript.add({ ...begin, promptHash: 'b'.repeat(64) })).toThrow(violation);
    expect(() => transcript.add({ ...begin, maxTokens: 9 })).toThrow(violation);
    transcript.add({ ...begin, maxTokens: 4 });
    expect(transcript.continuation?.maxTokens).toBe(4);
  });
});
