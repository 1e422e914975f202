import type { Section } from '@skein/protocol';
import { expect, test } from 'vitest';

import { chooseSections } from './spot-check.ts';

function sectionsOf(...sizes: readonly number[]): Section[] {
  return sizes.map((bytes, index) => {
    const name = `blk.${index}.x`;
    return { kind: 'tensor', name, offset: 0, bytes, sha256: '', type: 0, shape: [1] };
  });
}

/** Numbers from 0 up to 1, the same ones each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 9301 + 49_297) % 233_280) / 233_280;
}

test('takes all that fits, in order', () => {
  const sections = sectionsOf(1, 2, 3);
  expect(chooseSections(sections, { maxBytes: 6 })).toEqual(sections);
  expect(chooseSections([], { maxBytes: 6 })).toEqual([]);
});

test('takes others each time, within the bound, and each one some time', () => {
  const sections = sectionsOf(5, 5, 5, 5, 5, 5, 5, 20);
  const random = numbers(7);
  const seen = new Set<string>();
  for (let time = 0; time < 100; time += 1) {
    const chosen = chooseSections(sections, { maxBytes: 20, random });
    expect(chosen.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(20);
    for (const { name } of chosen) seen.add(name);
  }
  expect(seen.size).toBe(sections.length);
});

test('takes the smallest where none fits: something is looked at each time', () => {
  expect(chooseSections(sectionsOf(9, 8, 10), { maxBytes: 7 }).map(({ bytes }) => bytes)).toEqual([8]);
});
