import { describe, expect, it } from 'vitest';

import { limits } from '../limits.ts';
import { promptSchema } from './prompt.ts';

describe('a prompt of token ids', () => {
  it('is taken as it is', () => {
    expect(promptSchema.parse({ type: 'tokens', tokens: [0, 5, 49_151] })).toEqual({
      type: 'tokens',
      tokens: [0, 5, 49_151],
    });
  });

  it.each([
    ['none', []],
    ['a negative one', [1, -1]],
    ['a fraction', [1.5]],
    ['a text', ['5']],
    ['one beyond any vocabulary', [limits.maxVocabularySize]],
    ['no list', { length: 1, 0: 5 }],
  ])('is refused with %s', (_name, tokens) => {
    expect(promptSchema.safeParse({ type: 'tokens', tokens }).success).toBe(false);
  });

  it('is refused with one complaint, however many are wrong', () => {
    const tokens = Array.from({ length: limits.maxPromptTokens }, () => -1);
    expect(promptSchema.safeParse({ type: 'tokens', tokens }).error?.issues).toHaveLength(1);
  });
});
