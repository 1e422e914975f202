import { array, assert, constantFrom, integer, nat, oneof, property, record, string, type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { limits } from '../limits.ts';
import { packPrompt, promptLayoutSchema, unpackPrompt, withPayload, type PromptLayout } from './packed-prompt.ts';
import type { Prompt } from './prompt.ts';

const anyText = string({ unit: 'grapheme' });
const anyPrompt: Arbitrary<Prompt> = oneof(
  anyText.map((text) => ({ type: 'text' as const, text })),
  array(integer({ min: 0, max: limits.maxVocabularySize - 1 }), { minLength: 1 }).map((tokens) => ({
    type: 'tokens' as const,
    tokens,
  })),
  array(
    record(
      { role: constantFrom('system', 'user', 'assistant'), content: anyText, name: anyText },
      { requiredKeys: ['role', 'content'] },
    ),
    { minLength: 1 },
  ).map((messages) => ({ type: 'chat' as const, messages })),
);

describe('a packed prompt', () => {
  it('is the same once it is unpacked, wherever its bytes lie', () => {
    assert(
      property(anyPrompt, nat(9), (prompt, offset) => {
        const { layout, bytes } = packPrompt(prompt);
        const received = new Uint8Array(offset + bytes.byteLength);
        received.set(bytes, offset);
        const parsed = promptLayoutSchema.parse(layout);
        expect(unpackPrompt(withPayload(parsed, received.subarray(offset)))).toEqual(prompt);
      }),
    );
  });

  it('keeps a byte order mark, which is text', () => {
    const prompt: Prompt = { type: 'text', text: '\uFEFFa' };
    expect(unpackPrompt(packPrompt(prompt))).toEqual(prompt);
  });

  it('may have as many bytes of text as the limit says, in all messages together, and no more', () => {
    const half = 'é'.repeat(limits.maxPromptBytes / 4);
    const longest = [half, half].map((content) => ({ role: 'user' as const, content }));
    expect(packPrompt({ type: 'chat', messages: longest }).bytes.byteLength).toBe(limits.maxPromptBytes);
    const tooLong = { code: 'request-too-large', details: { param: 'messages' } };
    const messages = [...longest, { role: 'user' as const, content: '', name: 'x' }];
    expect(() => packPrompt({ type: 'chat', messages })).toThrow(expect.objectContaining(tooLong));
    const text = 'a'.repeat(limits.maxPromptBytes + 1);
    expect(() => packPrompt({ type: 'text', text })).toThrow(expect.objectContaining({ details: { param: 'prompt' } }));
  });

  it.each<[name: string, layout: PromptLayout, bytes: number]>([
    ['fewer bytes of text', { type: 'text', textBytes: 3 }, 2],
    ['more bytes of text', { type: 'text', textBytes: 3 }, 4],
    ['half a token', { type: 'tokens', count: 2 }, 6],
    ['a name left out', { type: 'chat', messages: [{ role: 'user', contentBytes: 1, nameBytes: 2 }] }, 1],
    [
      'more text than there may be',
      { type: 'chat', messages: Array.from({ length: 2 }, () => ({ role: 'user', contentBytes: 5 * 1024 * 1024 })) },
      10 * 1024 * 1024,
    ],
  ])('does not come with %s', (_name, layout, bytes) => {
    const payload = new Uint8Array(bytes);
    expect(() => withPayload(layout, payload)).toThrow(expect.objectContaining({ code: 'protocol-violation' }));
  });

  it('that is not UTF-8 has U+FFFD in its place, in one text and not in its neighbour', () => {
    const layout: PromptLayout = { type: 'chat', messages: [{ role: 'user', contentBytes: 1, nameBytes: 1 }] };
    const bytes = new TextEncoder().encode('é');
    expect(unpackPrompt(withPayload(layout, bytes))).toEqual({
      type: 'chat',
      messages: [{ role: 'user', content: '\uFFFD', name: '\uFFFD' }],
    });
  });
});
