import { expect, test } from 'vitest';

import { kvBytes, swapTokens } from './memory.ts';

const shape = { kvBytesPerTokenPerLayer: 4096, layers: 32 };

test('keys and values in q8_0 take 34 bytes where they take 64 in f16', () => {
  expect(kvBytes(shape, { layers: 8, tokens: 100, cacheType: 'f16' })).toBe(4096 * 8 * 100);
  expect(kvBytes(shape, { layers: 8, tokens: 100, cacheType: 'q8_0' })).toBe((4096 * 8 * 100 * 34) / 64);
});

test.each([
  [{ cacheType: 'bf16' }, 1],
  [{ cacheType: 'q5_1' }, 24 / 64],
  [{ cacheType: 'q4_0' }, 18 / 64],
  [{ cacheType: 'q8_0', valueCacheType: 'q8_0' }, 34 / 64],
] as const)('keys and values in %j take their share of f16', (types, share) => {
  expect(kvBytes(shape, { layers: 8, tokens: 100, ...types })).toBe(4096 * 8 * 100 * share);
});

test('of different types the larger one counts for more, whichever of the two it is', () => {
  const bytes = kvBytes(shape, { layers: 8, tokens: 100, cacheType: 'f16', valueCacheType: 'q4_0' });
  expect(bytes).toBe(Math.ceil(4096 * 8 * 100 * (0.6 + (0.4 * 18) / 64)));
  expect(kvBytes(shape, { layers: 8, tokens: 100, cacheType: 'q4_0', valueCacheType: 'f16' })).toBe(bytes);
});

test('as many tokens are swapped out as the cache holds, but no more than 512 MiB', () => {
  expect(swapTokens(shape, { contextTokens: 2000, cacheType: 'f16', sequences: 4 })).toBe(2000);
  expect(swapTokens(shape, { contextTokens: 100_000, cacheType: 'f16', sequences: 4 })).toBe(4096);
  expect(swapTokens(shape, { contextTokens: 100_000, cacheType: 'q8_0', sequences: 4 })).toBe(7710);
  expect(
    swapTokens({ kvBytesPerTokenPerLayer: 0, layers: 32 }, { contextTokens: 2000, cacheType: 'f16', sequences: 4 }),
  ).toBe(2000);
});
