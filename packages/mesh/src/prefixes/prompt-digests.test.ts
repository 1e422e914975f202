import { fromText, packPrompt, type Prompt } from '@skein/protocol';
import { expect, test } from 'vitest';

import { PromptDigests } from './prompt-digests.ts';

const system = fromText({ role: 'system', content: 'You answer briefly. '.repeat(100), name: undefined });
const say = (role: 'user' | 'assistant', content: string) => fromText({ role, content, name: undefined });
const chat = (...messages: ReturnType<typeof say>[]): Prompt => ({ type: 'chat', messages: [system, ...messages] });

test('a conversation that goes on begins with the digests that it had', () => {
  const digests = new PromptDigests();
  const question = say('user', 'Why is the sky blue? '.repeat(50));
  const first = digests.of(packPrompt(chat(question)));
  const second = digests.of(packPrompt(chat(question, say('assistant', 'Because.'), say('user', 'Why? '.repeat(200)))));
  expect(first).toHaveLength(5);
  expect(second.slice(0, first.length)).toEqual(first);
  expect(second.length).toBeGreaterThan(first.length);
  const other = digests.of(packPrompt(chat(say('user', 'Something else. '.repeat(50)))));
  expect(other.slice(0, 3)).toEqual(first.slice(0, 3));
  expect(other.at(-1)).not.toBe(first.at(-1));
});

test("the next turn's digests are known from the prompt and its answer", () => {
  const digests = new PromptDigests();
  const question = say('user', 'Why is the sky blue? '.repeat(50));
  const answer = 'Because of Rayleigh. '.repeat(100);
  const first = packPrompt(chat(question));
  const second = digests.of(packPrompt(chat(question, say('assistant', answer), say('user', 'Why? '.repeat(200)))));
  const known = [...digests.of(first), ...digests.ofAnswer(first, answer)];
  expect(known).toHaveLength(10);
  expect(second.slice(0, known.length)).toEqual(known);
  expect(digests.ofAnswer(first, 'Because.')).toEqual([]);
  expect(digests.ofAnswer(packPrompt({ type: 'tokens', tokens: [1, 2] }), answer)).toEqual([]);
});

test('kinds of prompts have nothing in common, nor do keys, and short prompts have no digests', () => {
  const digests = new PromptDigests();
  const tokens = Array.from({ length: 512 }, (_, index) => index);
  const packed = packPrompt({ type: 'tokens', tokens });
  expect(digests.of(packed)).toHaveLength(4);
  expect(digests.of({ type: 'text', bytes: packed.bytes.slice() })[0]).not.toBe(digests.of(packed)[0]);
  expect(new PromptDigests().of(packed)).not.toEqual(digests.of(packed));
  expect(digests.of(packPrompt({ type: 'text', text: 'short' }))).toEqual([]);
  expect(digests.of({ type: 'chat', bytes: new Uint8Array(3) })).toEqual([]);
  expect(digests.of({ type: 'chat', bytes: new Uint8Array(4).fill(255) })).toEqual([]);
});
