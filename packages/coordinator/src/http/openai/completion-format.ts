import { skeinOf, usageOf, type AnswerFormat, type AnswerIdentity } from './answer-format.ts';

/** `text_completion`, whose chunks look like the whole. */
export const completionFormat: AnswerFormat = {
  idPrefix: 'cmpl-',
  whole: (identity, text, completion) => ({
    ...answer(identity, choice(text, completion.end.finishReason)),
    usage: usageOf(completion),
    skein: skeinOf(completion),
  }),
  opening: () => undefined,
  delta: (identity, text) => answer(identity, choice(text)),
  ending: (identity, completion) => ({
    ...answer(identity, choice('', completion.end.finishReason)),
    skein: skeinOf(completion),
  }),
  usage: (identity, completion) => ({ ...answer(identity), usage: usageOf(completion) }),
};

function answer(identity: AnswerIdentity, ...choices: object[]): object {
  return { ...identity, object: 'text_completion', choices };
}

function choice(text: string, finishReason: string | null = null): object {
  return { index: 0, text, logprobs: null, finish_reason: finishReason };
}
