import { expect, test } from 'vitest';

import { packDigests, prefixLimits, unpackDigests } from './prefixes.ts';

test('digests come out as they went in', () => {
  const change = { added: [0, 1, 2 ** 48 - 1], removed: [2 ** 32, 123_456_789_012_345] };
  const payload = packDigests(change);
  expect(payload.byteLength).toBe(5 * prefixLimits.digestBytes);
  // As a part of a larger buffer, as frames are.
  const framed = new Uint8Array([7, ...payload]).subarray(1);
  expect(unpackDigests({ added: 3, removed: 2 }, framed)).toEqual(change);
});

test.each([
  { added: 1, removed: 0 },
  { added: 3, removed: 2 },
  { added: 0, removed: 0 },
])('refuses %o in twelve bytes', (counts) => {
  expect(() => unpackDigests(counts, new Uint8Array(12))).toThrow('digests are not in 12 bytes');
});
