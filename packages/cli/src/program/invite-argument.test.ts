import { expect, test } from 'vitest';

import { withoutCommand, withoutInvites } from './invite-argument.ts';

test.each([
  [['skein1-abc'], ['skein1-abc']],
  [['skein join skein1-abc'], ['skein1-abc']],
  [['skein', 'join', 'skein1-abc'], ['skein1-abc']],
  [['  $ npx skein join skein1-abc\n'], ['skein1-abc']],
  [['something'], ['something']],
  [[], []],
  [['skein join'], []],
  [
    ['skein join', 'skein1-abc', 'skein1-def'],
    ['skein1-abc', 'skein1-def'],
  ],
])('takes the command off %j', (words, left) => {
  expect(withoutCommand(words)).toEqual(left);
});

test('takes invites out of a text', () => {
  expect(withoutInvites("unknown command 'skein1-ab_c-D'; see skein1-…")).toBe(
    "unknown command 'skein1-…'; see skein1-…",
  );
});
