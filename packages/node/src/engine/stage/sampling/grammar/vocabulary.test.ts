import { expect, it } from 'vitest';

import { Matcher } from './matcher.ts';
import { Vocabulary } from './vocabulary.ts';
import { WorkBudget } from './work-budget.ts';

const end = 0;
const control = 1;
const texts = ['', '', 'a', 'ab', 'abc', 'b', 'é', 'a', '漢'];
/** The last tokens are the two parts of a character. */
const pieces = [...texts.map((text) => Buffer.from(text)), Buffer.from([0xc3]), Buffer.from([0xa9])];
const firstByte = pieces.length - 2;
const lastByte = pieces.length - 1;

const vocabulary = new Vocabulary({
  size: pieces.length,
  piece: (token) => pieces[token] ?? Buffer.alloc(0),
  isEndOfGeneration: (token) => token === end,
});

function allowed(grammar: string, before: readonly number[] = []): number[] {
  const matcher = new Matcher(grammar);
  let state = matcher.start(new WorkBudget());
  for (const token of before) {
    const after = vocabulary.after(matcher, state, token, new WorkBudget());
    if (after === undefined) throw new Error(`token ${token} is not allowed`);
    state = after;
  }
  const mask = vocabulary.allowed(matcher, state, new WorkBudget());
  const tokens = pieces.keys().toArray();
  // One by one as all at once.
  for (const token of tokens) {
    expect(mask[token] === 1).toBe(vocabulary.after(matcher, state, token, new WorkBudget()) !== undefined);
  }
  return tokens.filter((token) => mask[token] === 1);
}

it('allows the tokens by which a text that the grammar derives can go on', () => {
  expect(allowed('root ::= "abc"')).toEqual([2, 3, 4, 7]);
  expect(allowed('root ::= "abc"', [2])).toEqual([5]);
});

it('allows the end where the grammar derives the text, and only there', () => {
  expect(allowed('root ::= "a" "b"?', [2])).toEqual([end, 5]);
  expect(allowed('root ::= "a" "b"?', [2, 5])).toEqual([end]);
  expect(allowed('root ::= "a" "b"?', [2, 5, end])).toEqual([end]);
});

it('allows parts of characters, and no control tokens', () => {
  expect(allowed('root ::= [é]')).toEqual([6, firstByte]);
  expect(allowed('root ::= [é]', [firstByte])).toEqual([lastByte]);
  expect(allowed('root ::= .')).not.toContain(control);
});
