import { expect, test } from 'vitest';

import { kvBytes, swapTokens } from './memory.ts';

const shape = { kvBytesPerTokenPerLayer: 4096, layers: 32 };

test('keys and values in q8_0 take 34 bytes where they take 64 in f16', () => {
  expect(kvBytes(shape, { layers: 8, tokens: 100, cacheType: 'f16' })).toBe(4096 * 8 * 100);
  expect(kvBytes(shape, { layers: 8, tokens: 100, cacheType: 'q8_0' })).toBe((4096 * 8 * 100 * 34) / 64);
});

test('as many tokens are swapped out as the cache holds, but no more than 512 MiB', () => {
  expect(swapTokens(shape, { contextTokens: 2000, cacheType: 'f16' })).toBe(2000);
  expect(swapTokens(shape, { contextTokens: 100_000, cacheType: 'f16' })).toBe(4096);
  expect(swapTokens(shape, { contextTokens: 100_000, cacheType: 'q8_0' })).toBe(7710);
  expect(swapTokens({ kvBytesPerTokenPerLayer: 0, layers: 32 }, { contextTokens: 2000, cacheType: 'f16' })).toBe(2000);
});
