import { invariant } from '@skein/protocol';

import type { CodePointRange } from './parse-grammar.ts';

/** A range of bytes, both ends included. */
export type ByteRange = readonly [from: number, to: number];

const surrogates: CodePointRange = [0xd800, 0xdfff];
/** Code points of one, two, three and four bytes in UTF-8. */
const lengths: readonly CodePointRange[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xffff],
  [0x1_0000, 0x10_ffff],
];
const firstByteMarks = [0, 0xc0, 0xe0, 0xf0];
const continuationBits = 6;

/** Returns the ranges in order, without overlap and without surrogates, which UTF-8 can't hold; negated: all others. */
export function normalize(ranges: readonly CodePointRange[], isNegated: boolean): readonly CodePointRange[] {
  const sorted = ranges.toSorted(([one], [other]) => one - other);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return without(isNegated ? complementOf(merged) : merged, surrogates);
}

function complementOf(ranges: readonly CodePointRange[]): CodePointRange[] {
  const complement: CodePointRange[] = [];
  let start = 0;
  for (const [from, to] of ranges) {
    if (from > start) complement.push([start, from - 1]);
    start = to + 1;
  }
  if (start <= 0x10_ffff) complement.push([start, 0x10_ffff]);
  return complement;
}

function without(ranges: readonly CodePointRange[], [from, to]: CodePointRange): CodePointRange[] {
  return ranges.flatMap(([low, high]): CodePointRange[] => {
    const below: CodePointRange = [low, Math.min(high, from - 1)];
    const above: CodePointRange = [Math.max(low, to + 1), high];
    return [below, above].filter(([first, last]) => first <= last);
  });
}

/**
 * Returns the sequences of byte ranges that are the UTF-8 of exactly these code points. Each has one range for each byte of
 * its characters, as in R. Cox, "Regular Expression Matching in the Wild", 2010.
 */
export function utf8Sequences(ranges: readonly CodePointRange[]): ByteRange[][] {
  return ranges.flatMap(([from, to]) =>
    lengths.flatMap(([shortest, longest], index) => {
      const [low, high] = [Math.max(from, shortest), Math.min(to, longest)];
      return low > high ? [] : ofLength(low, high, index);
    }),
  );
}

function ofLength(from: number, to: number, continuations: number): ByteRange[][] {
  if (continuations === 0) return [[[from, to]]];
  const split = splitAt(from, to, continuations);
  if (split !== undefined) {
    return [...ofLength(from, split, continuations), ...ofLength(split + 1, to, continuations)];
  }
  const [first, last] = [bytesOf(from, continuations), bytesOf(to, continuations)];
  return [first.map((byte, index): ByteRange => [byte, last[index] ?? byte])];
}

/** Returns the end of a first part, where the range needs more than one range for each byte; undefined where it does not. */
function splitAt(from: number, to: number, continuations: number): number | undefined {
  for (let bytes = 1; bytes <= continuations; bytes += 1) {
    const mask = 2 ** (continuationBits * bytes) - 1;
    if ((from & ~mask) === (to & ~mask)) continue;
    if ((from & mask) !== 0) return from | mask;
    if ((to & mask) !== mask) return (to & ~mask) - 1;
  }
  return undefined;
}

function bytesOf(codePoint: number, continuations: number): number[] {
  const bytes: number[] = [];
  let rest = codePoint;
  for (let index = 0; index < continuations; index += 1) {
    bytes.unshift(0x80 | (rest & 0x3f));
    rest >>= continuationBits;
  }
  return [invariant(firstByteMarks[continuations], 'a character has 1 to 4 bytes') | rest, ...bytes];
}
