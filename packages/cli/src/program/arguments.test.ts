import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';

import {
  decimalNumber,
  duration,
  givenName,
  label,
  repeatedMultiaddr,
  timeMs,
  wholeNumber,
  wholeNumbers,
} from './arguments.ts';

test.each(['', '0', '65536', '1.5', '1e3', '-1', 'x', ' 5'])('refuses %j as a number from 1 to 65535', (text) => {
  expect(() => wholeNumber(1, 65_535)(text)).toThrow(InvalidArgumentError);
});

test('reads numbers within their bounds', () => {
  expect(wholeNumber(0, 65_535)('65535')).toBe(65_535);
  expect(decimalNumber(0, 2)('0.7')).toBe(0.7);
  expect(() => decimalNumber(0, 2)('2.1')).toThrow(InvalidArgumentError);
  expect(() => decimalNumber(0, 2)('')).toThrow(InvalidArgumentError);
});

test('reads lists of numbers', () => {
  expect(wholeNumbers('17,13')).toEqual([17, 13]);
  expect(wholeNumbers('30')).toEqual([30]);
  expect(() => wholeNumbers('17,')).toThrow(InvalidArgumentError);
  expect(() => wholeNumbers('17,0')).toThrow(InvalidArgumentError);
});

test('reads times in ISO 8601', () => {
  expect(timeMs('1970-01-02')).toBe(86_400_000);
  expect(timeMs('1970-01-01T01:00:00Z')).toBe(3_600_000);
  for (const text of ['', 'yesterday', '7', '2026-13-01']) expect(() => timeMs(text)).toThrow(InvalidArgumentError);
});

test('reads times that something lasts, of a second and more', () => {
  expect(duration('90s')).toBe(90_000);
  expect(duration('2d')).toBe(172_800_000);
  for (const text of ['0s', '00d', '', '5', '-1s', '1.5h', '1w']) expect(() => duration(text)).toThrow(/at least 1s/);
});

test('collects labels, and drops none without a word', () => {
  expect(label('zone=eu', label('room=attic=left'))).toEqual({ room: 'attic=left', zone: 'eu' });
  for (const text of ['zone', '=eu', 'Zone=eu', '__proto__=x', `zone=${'x'.repeat(65)}`]) {
    expect(() => label(text)).toThrow(InvalidArgumentError);
  }
});

test('takes names that cards can hold, and no others', () => {
  for (const name of ['attic', 'büro 2', 'x'.repeat(256)]) expect(givenName(name)).toBe(name);
  for (const name of ['', ' ', 'x'.repeat(257), '\u001B[2J', 'two\nlines']) {
    expect(() => givenName(name)).toThrow(InvalidArgumentError);
  }
});

test('collects multiaddrs and refuses plain addresses', () => {
  const addresses = ['/ip4/0.0.0.0/tcp/7330', '/ip6/::/tcp/7330', '/dns4/attic.local/tcp/7330'];
  expect(addresses.reduce<readonly string[]>((all, text) => repeatedMultiaddr(text, all), [])).toEqual(addresses);
  expect(() => repeatedMultiaddr('192.168.1.20:7330')).toThrow(InvalidArgumentError);
  expect(() => repeatedMultiaddr('/ip4/300.1.1.1/tcp/7330')).toThrow(InvalidArgumentError);
});
