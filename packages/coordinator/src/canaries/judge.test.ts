import { array, assert, constantFrom, oneof, option, property, tuple } from 'fast-check';
import { expect, test } from 'vitest';

import { judge, type CanaryAnswer } from './judge.ts';

/** Answers as `now`, or as `before>now`, one letter each, by deployments a, b, c, ... */
function answersOf(texts: readonly string[]): CanaryAnswer[] {
  return texts.map((text, index) => {
    const [earlier, tokens] = text.includes('>') ? text.split('>') : [undefined, text];
    return { deployment: String.fromCodePoint(97 + index), tokens: tokens ?? '', earlier };
  });
}

const verdicts = (texts: readonly string[], agreed?: string) => [...judge(answersOf(texts), agreed).values()];

test.each([
  ['all agree', ['x', 'x', 'x'], undefined, ['sound', 'sound', 'sound']],
  ['one of three disagrees', ['x', 'y', 'x'], undefined, ['sound', 'out', 'sound']],
  ['one of three disagrees, who always did', ['x>x', 'y>y', 'x>x'], undefined, ['sound', 'out', 'sound']],
  ['three say three things', ['x', 'y', 'z'], undefined, ['doubted', 'doubted', 'doubted']],
  ['two disagree', ['x', 'y'], undefined, ['doubted', 'doubted']],
  ['two disagree, and both always did', ['x>x', 'y>y'], undefined, ['doubted', 'doubted']],
  ['two disagree, and one has changed', ['x>x', 'x>y'], undefined, ['sound', 'out']],
  ['two disagree, and one is new', ['x>x', 'y'], undefined, ['doubted', 'doubted']],
  ['two disagree, and both have changed', ['x>y', 'x>z'], undefined, ['doubted', 'doubted']],
  ['two disagree, of which one says what others agreed on', ['x', 'y'], 'y', ['out', 'sound']],
  ['two disagree with what others agreed on, and with each other', ['x', 'y'], 'z', ['doubted', 'doubted']],
  ['all have changed, alike', ['x>y', 'x>y'], 'x', ['sound', 'sound']],
  ['two against two', ['x', 'x', 'y', 'y'], undefined, ['doubted', 'doubted', 'doubted', 'doubted']],
  ['two against two, of whom one has changed', ['x>x', 'x>x', 'y>y', 'x>y'], undefined, ['doubted', 'doubted', 'doubted', 'doubted']], // prettier-ignore
  ['one alone', ['x'], undefined, ['sound']],
  ['one alone has changed', ['x>y'], undefined, ['doubted']],
  ['one alone says otherwise than others before it', ['x'], 'y', ['doubted']],
  ['nobody', [], undefined, []],
] as const)('%s', (_, texts, agreed, expected) => {
  expect(verdicts(texts, agreed)).toEqual(expected);
});

test('never takes all out, nor one that says what most say', () => {
  const letter = constantFrom('x', 'y', 'z');
  const answer = oneof(letter, tuple(letter, letter).map((pair) => pair.join('>'))); // prettier-ignore
  assert(
    property(array(answer, { minLength: 1, maxLength: 7 }), option(letter), (texts, agreed) => {
      const answers = answersOf(texts);
      const all = judge(answers, agreed ?? undefined);
      expect([...all.values()].some((verdict) => verdict !== 'out')).toBe(true);
      const alike = (tokens: string) => answers.filter((other) => other.tokens === tokens).length;
      const most = answers.filter(({ tokens }) => alike(tokens) > texts.length / 2);
      for (const { deployment } of most) expect(all.get(deployment)).not.toBe('out');
    }),
  );
});
