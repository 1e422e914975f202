import { describe, expect, it } from 'vitest';

import { TextAssembler } from './text-assembler.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Pushes pieces and returns what was shown for each, then the rest. */
function show(
  stops: readonly string[],
  pieces: readonly (string | Uint8Array)[],
): { shown: string[]; stopped: boolean } {
  const assembler = new TextAssembler(stops);
  const shown = pieces.map((piece) => assembler.push(typeof piece === 'string' ? bytes(piece) : piece));
  const { stopped } = assembler;
  shown.push(assembler.end());
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
});
