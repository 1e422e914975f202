import { expect, test } from 'vitest';

import { IdentityConflictWatch } from './identity-conflict.ts';

test('one newer card of ours, from before a restart, is no identity conflict', () => {
  const watch = new IdentityConflictWatch();
  expect(watch.note(1000)).toBe(true);
  expect(watch.sees(1000)).toBe(false);
});

test('several within half a minute are, until they stop coming', () => {
  const watch = new IdentityConflictWatch();
  expect([0, 2000, 4000].map((atMs) => watch.note(atMs))).toEqual([true, false, false]);
  expect(watch.sees(4000)).toBe(true);
  expect(watch.sees(29_000)).toBe(true);
  expect(watch.sees(35_000)).toBe(false);
});

test('now and then one, over hours, is none', () => {
  const watch = new IdentityConflictWatch();
  for (let atMs = 0; atMs < 3_600_000; atMs += 31_000) {
    expect(watch.note(atMs)).toBe(true);
    expect(watch.sees(atMs)).toBe(false);
  }
});
