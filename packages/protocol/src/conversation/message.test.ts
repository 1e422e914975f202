import { describe, expect, it } from 'vitest';

import { limits } from '../limits.ts';
import { fromText, messageSchema, textOf } from './message.ts';

describe('a message', () => {
  it('says the texts of its parts, one behind the other', () => {
    const parts = ['a', '', ' b\n', 'c'].map((text) => ({ type: 'text' as const, text }));
    expect(textOf({ role: 'user', parts })).toBe('a b\nc');
    expect(fromText({ role: 'user', content: '' })).toEqual({ role: 'user', parts: [{ type: 'text', text: '' }] });
  });

  const text = { type: 'text', text: 'a' };
  it.each([
    ['without parts', []],
    ['with more parts than there may be', Array.from({ length: limits.maxMessageParts + 1 }, () => text)],
    ['with a part of a kind that nobody knows', [text, { type: 'smell', smell: 'rose' }]],
    ['with a part without text', [{ type: 'text' }]],
  ])('%s is none', (_, parts) => {
    expect(messageSchema.safeParse({ role: 'user', parts: [text] }).success).toBe(true);
    expect(messageSchema.safeParse({ role: 'user', parts }).success).toBe(false);
  });
});
