import { describe, expect, it } from 'vitest';

import { chatFormat } from './chat.ts';
import { completionFormat } from './completions.ts';

const mark = { token: 1, logprob: -0.5, bytes: [0xef, 0xbb, 0xbf], top: [] };
const letter = { token: 2, logprob: -0.5, bytes: [0x61], top: [] };

describe('log-probabilities in an answer', () => {
  it('name a byte order mark, and count it', () => {
    const ofCompletion = completionFormat.logprobs();
    expect(ofCompletion([mark, letter])).toMatchObject({ tokens: ['\u{feff}', 'a'], text_offset: [0, 1] });
    expect(chatFormat.logprobs()([mark])).toMatchObject({ content: [{ token: '\u{feff}' }] });
  });
});
