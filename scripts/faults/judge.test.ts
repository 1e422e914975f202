import { expect, test } from 'vitest';

import { judge } from './judge.ts';

const expected = Array.from({ length: 60 }, (_, index) => (index * index) % 61);

test('knows a whole answer, and any beginning of it', () => {
  expect(judge(expected, expected)).toEqual({ kind: 'same' });
  expect(judge(expected.slice(0, 7), expected)).toEqual({ kind: 'beginning' });
  expect(judge([], expected)).toEqual({ kind: 'beginning' });
});

test.each([
  ['duplicated', [...expected.slice(0, 20), ...expected.slice(17)], 3],
  ['missing', [...expected.slice(0, 20), ...expected.slice(24)], 4],
  ['other', [...expected.slice(0, 20), 99, ...expected.slice(21)], 40],
  ['other', [...expected.slice(0, 20), 99], 1],
] as const)('tells that tokens are %s, and where', (kind, tokens, count) => {
  expect(judge(tokens, expected)).toEqual({ kind, at: 20, tokens: count });
});

test('takes no answer for whole that goes on after its end', () => {
  expect(judge([...expected, 5], expected)).toEqual({ kind: 'other', at: 60, tokens: 1 });
});
