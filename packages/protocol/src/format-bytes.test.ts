import { expect, it } from 'vitest';

import { formatBytes } from './format-bytes.ts';

it.each([
  [0, '0 B'],
  [500, '500 B'],
  [1024, '1.0 KiB'],
  [98_362_432, '93.8 MiB'],
  [200 * 1024 ** 2, '200 MiB'],
  [2.5 * 1024 ** 5, '2560 TiB'],
])('says %i bytes as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
