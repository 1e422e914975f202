import { describe, expect, it } from 'vitest';

import { TextAssembler } from './text-assembler.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Pushes pieces and returns what was shown for each, then the rest. */
function show(
  stops: readonly string[],
  pieces: readonly (string | Uint8Array)[],
  reason: 'stop' | 'length' = 'stop',
): { shown: string[]; stopped: boolean } {
  const assembler = new TextAssembler(stops);
  const shown = pieces.map((piece) => assembler.push(typeof piece === 'string' ? bytes(piece) : piece));
  const { stopped } = assembler;
  shown.push(assembler.end(reason));
  return { shown, stopped };
}

describe('text of a generation', () => {
  it('shows text as it comes', () => {
    expect(show([], ['Hel', 'lo']).shown).toEqual(['Hel', 'lo', '']);
  });

  it('holds back the bytes of an unfinished character', () => {
    const [first, second] = [bytes('é').subarray(0, 1), bytes('é').subarray(1)];
    expect(show([], [first, second]).shown).toEqual(['', 'é', '']);
  });

  it('shows a character that never came whole as a replacement', () => {
    expect(show([], [bytes('é').subarray(0, 1)]).shown).toEqual(['', '\u{fffd}']);
    expect(show([], [Uint8Array.of(0xff, 0x61, 0xe2, 0x82, 0x62)], 'length').shown).toEqual(['\u{fffd}a\u{fffd}b', '']);
  });

  it.each(['naïve — 漢字 👩‍🚀 \u{feff}end', '\u{feff}begins with a mark'])(
    'cut after any byte, is a prefix of the whole text: %j',
    (text) => {
      const whole = bytes(text);
      for (let cut = 0; cut <= whole.length; cut += 1) {
        const pieces = Array.from(whole.subarray(0, cut), (byte) => Uint8Array.of(byte));
        const shown = show([], pieces, 'length').shown.join('');
        expect(text.startsWith(shown)).toBe(true);
        expect(cut - bytes(shown).length).toBeLessThan(4);
      }
      expect(show([], [whole], 'length').shown.join('')).toBe(text);
    },
  );

  it('looks for no half of a character', () => {
    expect(show(['\ud83d', '\udc69', '\udc69 x'], ['a👩 b']).shown).toEqual(['a👩 b', '']);
  });

  it('stops before a stop string that spans pieces, and never shows its start', () => {
    expect(show(['</end>'], ['a</', 'en', 'd>b', 'c'])).toEqual({ shown: ['a', '', '', '', ''], stopped: true });
  });

  it('gives back what only looked like a stop string', () => {
    expect(show(['</end>'], ['a</', 'em>', 'b'])).toEqual({ shown: ['a', '</em>', 'b', ''], stopped: false });
  });

  it('gives back a held start when the generation ends', () => {
    expect(show(['stop'], ['sto']).shown).toEqual(['', 'sto']);
  });

  it('stops at the earliest of several stop strings', () => {
    expect(show(['bb', 'a'], ['xabb']).shown).toEqual(['x', '']);
  });

  it.each([
    [['aab'], 'aaab', 'a'],
    [['abab', 'abac'], 'ababac'.slice(2), ''],
    [['abcabd'], 'abcabcabd', 'abc'],
    [['aa', 'aaaa'], 'baaaa', 'b'],
    [['longer than the text', 'xyx'], 'xyyxyxy', 'xyy'],
  ])('stops before %j wherever the pieces of %j are cut', (stops, text, before) => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const { shown, stopped } = show(stops, [text.slice(0, cut), text.slice(cut)]);
      expect({ shown: shown.join(''), stopped }).toEqual({ shown: before, stopped: true });
    }
  });

  it('gets through a long answer that nearly has a stop string at every place', () => {
    const nearly = `${'a'.repeat(255)}b${'a'.repeat(240)}`;
    const stops = Array.from({ length: 16 }, (_, index) => nearly + 'c'.repeat(index));
    const letter = bytes('a');
    const assembler = new TextAssembler(stops);
    let shown = 0;
    for (let tokens = 0; tokens < 400_000; tokens += 1) shown += assembler.push(letter).length;
    expect(shown + assembler.end('length').length).toBe(400_000);
  });
});
