import { describe, expect, it } from 'vitest';

import { Dry, type DryOptions } from './dry.ts';

/** Every byte is a token, and some pairs of letters are. */
const pairs = ['ab', 'bc', 'xy', '. '];
const texts = {
  piece: (token: number) => (token < 256 ? Buffer.of(token) : Buffer.from(pairs[token - 256] ?? '')),
  encode: (text: string) => [...Buffer.from(text)],
};

function penaltiesAfter(
  text: string | readonly number[],
  options: Partial<DryOptions> = {},
): Readonly<Record<string, number>> {
  const dry = new Dry(texts, { multiplier: 1, base: 2, allowedLength: 2, lastTokens: 100, breakers: [], ...options });
  for (const token of typeof text === 'string' ? texts.encode(text) : text) dry.accept(token);
  return Object.fromEntries(
    Array.from(dry.penalties(), ([token, penalty]) => [Buffer.from(texts.piece(token)).toString(), penalty]),
  );
}

describe('DRY', () => {
  it('makes what would go on with a repetition less likely, the more the longer it is', () => {
    // "bc" and "abc" stood there before; "c" alone is shorter than what is allowed.
    expect(penaltiesAfter('abcd bce cf abc')).toEqual({ d: 2, e: 1 });
    expect(penaltiesAfter('abcd bce cf abc', { multiplier: 3, base: 10, allowedLength: 1 })).toEqual({
      d: 300,
      e: 30,
      f: 3,
    });
  });

  it('says nothing about a text without repetitions, or about none at all', () => {
    expect(penaltiesAfter('abcdef')).toEqual({});
    expect(penaltiesAfter('')).toEqual({});
  });

  it('looks at the last tokens only', () => {
    expect(penaltiesAfter('abcd bce abc', { lastTokens: 8 })).toEqual({ e: 1 });
    expect(penaltiesAfter('abcd bce abc', { lastTokens: 0 })).toEqual({});
  });

  it('reaches across no breaker', () => {
    expect(penaltiesAfter('a:bcd a:bc')).toEqual({ d: 4 });
    expect(penaltiesAfter('a:bcd a:bc', { breakers: [':'] })).toEqual({ d: 1 });
    expect(penaltiesAfter('a:bcd a:bc', { breakers: [':', 'c'] })).toEqual({});
  });

  it('lets a breaker come as often as it likes', () => {
    expect(penaltiesAfter('ab:ab')).toEqual({ ':': 1 });
    expect(penaltiesAfter('ab:ab', { breakers: [':'] })).toEqual({});
  });

  it('knows a breaker that is spread over several tokens, or is inside one', () => {
    const [ab, bc, xy, stop] = [256, 257, 258, 259];
    // "a" + "bc", "ab" + "c": both are "abc".
    expect(penaltiesAfter([ab, 99, xy, 33, ab, 99, xy], { allowedLength: 1 })).toEqual({ '!': 4 });
    expect(penaltiesAfter([ab, 99, xy, 33, ab, 99, xy], { allowedLength: 1, breakers: ['abc'] })).toEqual({ '!': 1 });
    expect(penaltiesAfter([97, bc, xy, 33, 97, bc, xy], { allowedLength: 1, breakers: ['abc'] })).toEqual({ '!': 4 });
    expect(penaltiesAfter([stop, xy, 33, stop, xy], { allowedLength: 1, breakers: ['.'] })).toEqual({ '!': 1 });
  });

  it('counts from the last breaker, also when that was begun long before it was complete', () => {
    const dry = new Dry(texts, { multiplier: 1, base: 2, allowedLength: 1, lastTokens: 100, breakers: ['0123456789'] });
    for (const token of texts.encode('0123456789xy 0123456789xy')) {
      dry.penalties();
      dry.accept(token);
    }
    expect([...dry.penalties()]).toEqual([[32, 2]]);
  });

  it('finds no breaker that is spread over tokens inside a character, and asks no tokenizer for half of one', () => {
    expect(penaltiesAfter('é:é', { breakers: ['é', '漢字'] })).toEqual({ ':': 1 });
  });

  it('stays a number for repetitions of any length', () => {
    const penalties = penaltiesAfter('ab'.repeat(500), { lastTokens: 2000, base: 10, multiplier: 100 });
    expect(Object.keys(penalties)).toEqual(['a']);
    expect(penalties['a']).toBeGreaterThan(1e38);
    expect(Number.isFinite(penalties['a'])).toBe(true);
  });
});

describe('the work of DRY', () => {
  it('looks at each token of the text once, and never at the vocabulary', () => {
    let pieces = 0;
    let encoded = 0;
    const counting = {
      piece: (token: number) => ((pieces += 1), texts.piece(token)),
      encode: (text: string) => ((encoded += 1), texts.encode(text)),
    };
    const breakers = Array.from({ length: 16 }, (_, index) => 'e'.repeat(48 + index));
    const dry = new Dry(counting, { multiplier: 1, base: 2, allowedLength: 2, lastTokens: 1000, breakers });
    for (const token of texts.encode('these trees, the three '.repeat(40))) {
      dry.accept(token);
      dry.penalties();
    }
    expect(pieces).toBeLessThanOrEqual(new Set('these trees, the three ').size);
    expect(encoded).toBeLessThanOrEqual(breakers.length);
  });
});
