import { expect, test } from 'vitest';

import { CheckedText } from './checked-text.ts';

const expected = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

function check(...pieces: readonly string[]) {
  const text = new CheckedText(expected);
  for (const piece of pieces) text.add(piece);
  return text;
}

test('takes a text that is whole, and any beginning of it, however it is cut', () => {
  expect(check(expected.slice(0, 7), '', expected.slice(7))).toMatchObject({ isWhole: true, fault: undefined });
  expect(check(expected.slice(0, 7))).toMatchObject({ isWhole: false, fault: undefined, length: 7 });
});

test.each([
  ['duplicated', expected.slice(0, 20), expected.slice(3)],
  ['missing', expected.slice(0, 20), expected.slice(24)],
  ['garbled', expected.slice(0, 20), '?', expected.slice(20)],
] as const)('tells that something is %s, and where', (kind, ...pieces) => {
  expect(check(...pieces)).toMatchObject({ isWhole: false, fault: { kind, at: 20 } });
});

test('takes no text for whole that goes on after its end', () => {
  expect(check(expected, 'x')).toMatchObject({ isWhole: false, fault: { kind: 'garbled', at: expected.length } });
});
