import type { Block } from '@skein/protocol';
import { expect, it } from 'vitest';

import { randomNumbers } from '../testing/fixtures.ts';
import { splitLayers } from './split-layers.ts';

/** Tries every cut. */
function someCutFits(options: {
  layerBytes: readonly number[];
  multiple: number;
  freeBytes: readonly number[];
}): boolean {
  const { layerBytes, multiple, freeBytes } = options;
  const tryFrom = (stage: number, from: number): boolean => {
    if (stage === freeBytes.length) return from === layerBytes.length;
    for (let to = from + multiple; to < layerBytes.length + multiple; to += multiple) {
      const end = Math.min(to, layerBytes.length);
      const bytes = layerBytes.slice(from, end).reduce((sum, layer) => sum + layer, 0);
      if (bytes <= (freeBytes[stage] ?? 0) && tryFrom(stage + 1, end)) return true;
    }
    return false;
  };
  return tryFrom(0, 0);
}

const countLayers = ({ from, to }: Block) => to - from;

it('finds a cut exactly when there is one', () => {
  const random = randomNumbers(3);
  const upTo = (greatest: number) => 1 + Math.floor(random() * greatest);
  const outcomes = { found: 0, impossible: 0 };
  for (let round = 0; round < 2000; round += 1) {
    const layerBytes = Array.from({ length: upTo(10) }, () => upTo(9));
    const freeBytes = Array.from({ length: upTo(4) }, () => upTo(25));
    const multiple = upTo(3);
    const memory = ({ from, to }: Block) => layerBytes.slice(from, to).reduce((sum, bytes) => sum + bytes, 0);
    const blocks = splitLayers({ layers: layerBytes.length, multiple, freeBytes, memory });
    expect(blocks !== undefined).toBe(someCutFits({ layerBytes, multiple, freeBytes }));
    outcomes[blocks === undefined ? 'impossible' : 'found'] += 1;
  }
  expect(outcomes.found).toBeGreaterThan(100);
  expect(outcomes.impossible).toBeGreaterThan(100);
});

it('gives each peer its share of the layers', () => {
  expect(splitLayers({ layers: 30, multiple: 1, freeBytes: [60, 30, 10], memory: countLayers })).toEqual([
    { from: 0, to: 18 },
    { from: 18, to: 27 },
    { from: 27, to: 30 },
  ]);
});

it('cuts at multiples, with a shorter last block', () => {
  expect(splitLayers({ layers: 26, multiple: 6, freeBytes: [50, 50], memory: countLayers })).toEqual([
    { from: 0, to: 12 },
    { from: 12, to: 26 },
  ]);
});
