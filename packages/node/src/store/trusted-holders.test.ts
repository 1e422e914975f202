import type { Section } from '@skein/protocol';
import { expect, test } from 'vitest';

import { Delivery } from './delivery.ts';
import { TrustedHolders } from './trusted-holders.ts';

test('knows who sent a section', () => {
  const section = (name: string, bytes: number): Section => ({ kind: 'metadata', name, offset: 0, bytes, sha256: '' });
  const [first, empty, second, third] = [section('a', 10), section('b', 0), section('c', 10), section('d', 5)];
  const delivery = new Delivery([first, empty, second, third]);
  for (const [sender, bytes] of [
    ['x', 5],
    ['x', 5],
    ['y', 3],
    ['x', 4],
    ['y', 8],
  ] as const) {
    delivery.record(sender, bytes);
  }
  expect(delivery.sendersOf(first)).toEqual(['x']);
  expect(delivery.sendersOf(empty)).toEqual([]);
  expect(delivery.sendersOf(second)).toEqual(['x', 'y']);
  expect(delivery.sendersOf(third)).toEqual(['y']);
});

test('drops one who sent wrong bytes alone', () => {
  const holders = new TrustedHolders(['x', 'y', 'z']);
  expect(holders.blame(['y'])).toBe(true);
  expect(holders).toMatchObject({ trusted: ['x', 'z'], rejected: ['y'] });
  expect(holders.blame(['x'])).toBe(true);
  expect(holders.blame(['z'])).toBe(false);
  expect(holders).toMatchObject({ trusted: [], rejected: ['y', 'x', 'z'] });
});

test('asks the last of several again before it drops anyone', () => {
  const holders = new TrustedHolders(['x', 'y', 'z']);
  expect(holders.blame(['x', 'y'])).toBe(true);
  expect(holders).toMatchObject({ trusted: ['y', 'x', 'z'], rejected: [] });
  expect(holders.blame(['y', 'z'])).toBe(true);
  expect(holders).toMatchObject({ trusted: ['z', 'x'], rejected: ['y'] });
});

test('never asks one again that is out, even if what it sent before is found wrong later', () => {
  const holders = new TrustedHolders(['x', 'y']);
  holders.blame(['x']);
  expect(holders.blame(['y', 'x'])).toBe(true);
  expect(holders).toMatchObject({ trusted: ['y'], rejected: ['x'] });
});

test('has nobody to ask when nobody sent anything', () => {
  expect(new TrustedHolders(['x']).blame([])).toBe(false);
});
