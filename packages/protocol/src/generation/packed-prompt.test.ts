import {
  array,
  assert,
  constant,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
  string,
  type Arbitrary,
} from 'fast-check';
import { describe, expect, it } from 'vitest';

import { fromText } from '../conversation/message.ts';
import { limits } from '../limits.ts';
import { packPrompt, packPromptInSteps, unpackPrompt } from './packed-prompt.ts';
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
      {
        role: constantFrom('system', 'user', 'assistant'),
        parts: array(record({ type: constant('text'), text: anyText }), { minLength: 1, maxLength: 4 }),
        name: anyText,
      },
      { requiredKeys: ['role', 'parts'] },
    ),
    { minLength: 1 },
  ).map((messages) => ({ type: 'chat' as const, messages })),
);

describe('a packed prompt', () => {
  it('is the same once it is unpacked, wherever its bytes lie', () => {
    assert(
      property(anyPrompt, nat(9), (prompt, offset) => {
        const { type, bytes } = packPrompt(prompt);
        const received = new Uint8Array(offset + bytes.byteLength);
        received.set(bytes, offset);
        expect(unpackPrompt({ type, bytes: received.subarray(offset) })).toEqual(prompt);
      }),
    );
  });

  it('is the same when it is packed in steps, between which others have their turn', async () => {
    // An odd number of units before the pairs, so that steps would end inside them.
    const text = `a${'\u{1F600}'.repeat(1_200_000)}`;
    const prompt: Prompt = { type: 'text', text };
    let rests = 0;
    const packed = await packPromptInSteps(prompt, async () => void (rests += 1));
    expect(rests).toBe(2);
    expect(unpackPrompt(packed)).toEqual(prompt);
  });

  it('keeps a byte order mark, which is text', () => {
    const prompt: Prompt = { type: 'text', text: '\uFEFFa' };
    expect(unpackPrompt(packPrompt(prompt))).toEqual(prompt);
  });

  it('may have as many bytes of text as the limit says, in all messages together, and no more', () => {
    const half = 'é'.repeat(limits.maxPromptBytes / 4);
    const longest = [half, half].map((content) => fromText({ role: 'user', content }));
    const prompt: Prompt = { type: 'chat', messages: longest };
    expect(unpackPrompt(packPrompt(prompt))).toEqual(prompt);
    const tooLong = { code: 'request-too-large', details: { param: 'messages' } };
    const messages = [...longest, fromText({ role: 'user', content: '', name: 'x' })];
    expect(() => packPrompt({ type: 'chat', messages })).toThrow(expect.objectContaining(tooLong));
    const text = 'a'.repeat(limits.maxPromptBytes + 1);
    expect(() => packPrompt({ type: 'text', text })).toThrow(expect.objectContaining({ details: { param: 'prompt' } }));
  });

  const violation = expect.objectContaining({ code: 'protocol-violation' });

  it('is none with half a token id, or too many', () => {
    const tokens = (bytes: Uint8Array) => () => unpackPrompt({ type: 'tokens', bytes });
    expect(tokens(new Uint8Array(6))).toThrow(violation);
    expect(tokens(new Uint8Array(4 * limits.maxPromptTokens + 4))).toThrow(violation);
  });

  it('is none with messages that do not add up to its bytes, or are none', () => {
    const { type, bytes } = packPrompt({
      type: 'chat',
      messages: [fromText({ role: 'user', content: 'Hello', name: 'me' })],
    });
    const longer = Buffer.concat([new Uint8Array(1), bytes]);
    const untold = Uint8Array.from(bytes);
    untold.fill(0xff, -4);
    const nonsense = Uint8Array.from(bytes);
    nonsense.fill(0xc1, -6, -4);
    const many = Buffer.concat([new Uint8Array(limits.maxPromptBytes), bytes]);
    const otherKind = Buffer.from(bytes);
    otherKind.write('tune', otherKind.indexOf('text'));
    for (const wrong of [otherKind, bytes.subarray(1), longer, bytes.subarray(0, 3), untold, nonsense, many])
      expect(() => unpackPrompt({ type, bytes: wrong })).toThrow(violation);
  });

  it('is none with more text than there may be', () => {
    const bytes = new Uint8Array(limits.maxPromptBytes + 1);
    expect(() => unpackPrompt({ type: 'text', bytes })).toThrow(violation);
  });

  it('that is not UTF-8 has U+FFFD in its place', () => {
    expect(unpackPrompt({ type: 'text', bytes: Uint8Array.of(0x61, 0xff) })).toEqual({ type: 'text', text: 'a\uFFFD' });
    expect(unpackPrompt(packPrompt({ type: 'text', text: 'a\uD83D' }))).toEqual({ type: 'text', text: 'a\uFFFD' });
  });
});
