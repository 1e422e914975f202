import { skeinOf, usageOf, type AnswerFormat, type AnswerIdentity, type Piece } from './answer-format.ts';
import { completionLogprobs } from './logprobs-format.ts';

/** `text_completion`, whose chunks look like the whole. */
export const completionFormat: AnswerFormat = {
  idPrefix: 'cmpl-',
  whole: (identity, choices, completion) => ({
    ...answer(identity, ...choices.map(choice)),
    usage: usageOf(completion),
    skein: skeinOf(completion),
  }),
  opening: () => undefined,
  delta: (identity, piece) => answer(identity, choice(piece)),
  ending: (identity, index, completion) => ({
    ...answer(identity, choice({ index, text: '', logprobs: null, finishReason: completion.end.finishReason })),
    skein: skeinOf(completion),
  }),
  usage: (identity, completion) => ({ ...answer(identity), usage: usageOf(completion) }),
  logprobs: completionLogprobs,
};

function answer(identity: AnswerIdentity, ...choices: object[]): object {
  return { ...identity, object: 'text_completion', choices };
}

function choice({ index, text, logprobs, finishReason = null }: Piece & { finishReason?: string | null }): object {
  return { index, text, logprobs, finish_reason: finishReason };
}
