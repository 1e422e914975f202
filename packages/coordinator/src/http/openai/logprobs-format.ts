import type { DescribedLogprobs } from '@skein/protocol';

import type { LogprobsFormat } from './answer-format.ts';

type TokenLogprob = Pick<DescribedLogprobs, 'bytes' | 'logprob'>;

/** A byte order mark is a character like others. */
const utf8 = ['utf-8', { ignoreBOM: true }] as const;
const decoder = new TextDecoder(...utf8);

/** A token's text: bytes that are part of a character become U+FFFD, as in OpenAI's answers. */
function textOf({ bytes }: TokenLogprob): string {
  return decoder.decode(Uint8Array.from(bytes));
}

/** `choices[].logprobs` of a chat completion and its chunks. */
export function chatLogprobs(): LogprobsFormat {
  const entry = (token: TokenLogprob) => ({ token: textOf(token), logprob: token.logprob, bytes: token.bytes });
  return (described) => ({
    content: described.map((token) => ({ ...entry(token), top_logprobs: token.top.map(entry) })),
    refusal: null,
  });
}

/** `choices[].logprobs` of a text completion and its chunks: lists side by side, offsets counted over all chunks. */
export function completionLogprobs(): LogprobsFormat {
  // A character's bytes may lie in several tokens: the offset moves on when it is complete, as the text does.
  const characters = new TextDecoder(...utf8);
  let offset = 0;
  return (described) => ({
    tokens: described.map(textOf),
    token_logprobs: described.map(({ logprob }) => logprob),
    top_logprobs: described.map((token) => likeliest([...token.top, token])),
    text_offset: described.map(({ bytes }) => {
      const start = offset;
      offset += characters.decode(Uint8Array.from(bytes), { stream: true }).length;
      return start;
    }),
  });
}

/** By token; of several that look alike the first, which is the likeliest. The drawn token is always among them. */
function likeliest(tokens: readonly TokenLogprob[]): Record<string, number> {
  const byText = new Map<string, number>();
  for (const token of tokens) {
    const text = textOf(token);
    if (!byText.has(text)) byText.set(text, token.logprob);
  }
  return Object.fromEntries(byText);
}
