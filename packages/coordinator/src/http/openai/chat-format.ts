import { skeinOf, usageOf, type AnswerFormat, type AnswerIdentity } from './answer-format.ts';

/** `chat.completion` and its chunks. */
export const chatFormat: AnswerFormat = {
  idPrefix: 'chatcmpl-',
  whole: (identity, text, completion) => ({
    ...identity,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: null,
        finish_reason: completion.end.finishReason,
      },
    ],
    usage: usageOf(completion),
    skein: skeinOf(completion),
  }),
  opening: (identity) => chunk(identity, choice({ role: 'assistant', content: '', refusal: null })),
  delta: (identity, text) => chunk(identity, choice({ content: text })),
  ending: (identity, completion) => ({
    ...chunk(identity, choice({}, completion.end.finishReason)),
    skein: skeinOf(completion),
  }),
  usage: (identity, completion) => ({ ...chunk(identity), usage: usageOf(completion) }),
};

function chunk(identity: AnswerIdentity, ...choices: object[]): object {
  return { ...identity, object: 'chat.completion.chunk', choices };
}

function choice(delta: object, finishReason: string | null = null): object {
  return { index: 0, delta, logprobs: null, finish_reason: finishReason };
}
