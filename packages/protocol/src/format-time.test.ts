import { expect, test } from 'vitest';

import { formatDuration, formatMoment } from './format-time.ts';

test.each([
  [0, '0 seconds'],
  [1000, '1 second'],
  [59_400, '59 seconds'],
  [60_000, '1 minute'],
  [-9_000_000, '2.5 hours'],
  [93 * 86_400_000, '93 days'],
])('says how long %d ms are', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});

test('says when something is, the same everywhere, and never throws', () => {
  expect(formatMoment(Date.UTC(2026, 10, 26, 14, 30, 59))).toBe('2026-11-26 14:30 UTC');
  expect(formatMoment(Number.MAX_SAFE_INTEGER)).toBe('9007199254740991');
});
