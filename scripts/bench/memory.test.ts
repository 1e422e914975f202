import { expect, it } from 'vitest';

import { parentOf, parseStatus } from './memory.ts';

it('adds up all kinds of resident memory', () => {
  const status = 'Name:\tnode\nVmHWM:\t  9000 kB\nRssAnon:\t 1000 kB\nRssFile:\t  200 kB\nRssShmem:\t   30 kB\n';
  expect(parseStatus(status)).toEqual({ residentBytes: 1230 * 1024, peakBytes: 9000 * 1024 });
  expect(() => parseStatus('Name:\tnode\n')).toThrow(/Linux/);
});

it('finds the parent behind a name with brackets', () => {
  expect(parentOf('42 (a (b) c) S 7 42 42 0')).toBe(7);
});
