import { expect, test } from 'vitest';

import { removeSequence, Sequence } from './sequence.ts';

const sequenceOf = (id: string): Sequence =>
  new Sequence({
    id,
    prompt: [1],
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    mostTokens: 8,
    speculates: false,
  });

test('a sequence leaves its list alone, and one that is in no list takes no other away', () => {
  const [first, second, third] = [sequenceOf('first'), sequenceOf('second'), sequenceOf('third')];
  const list = [first, second];
  expect(() => removeSequence(list, third)).toThrow(/a list that holds it/);
  expect(list).toEqual([first, second]);
  removeSequence(list, first);
  expect(list).toEqual([second]);
});
