import { skeinOf, usageOf, type AnswerFormat, type AnswerIdentity, type Piece } from './answer-format.ts';
import { chatLogprobs } from './logprobs-format.ts';

/** `chat.completion` and its chunks. */
export const chatFormat: AnswerFormat = {
  idPrefix: 'chatcmpl-',
  whole: (identity, choices, completion) => ({
    ...identity,
    object: 'chat.completion',
    choices: choices.map(({ index, text, logprobs, finishReason }) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs,
      finish_reason: finishReason,
    })),
    usage: usageOf(completion),
    skein: skeinOf(completion),
  }),
  opening: (identity, index) =>
    chunk(identity, choice({ index, delta: { role: 'assistant', content: '', refusal: null } })),
  delta: (identity, { text, ...piece }) => chunk(identity, choice({ ...piece, delta: { content: text } })),
  ending: (identity, index, completion) => ({
    ...chunk(identity, choice({ index, delta: {}, finishReason: completion.end.finishReason })),
    skein: skeinOf(completion),
  }),
  usage: (identity, completion) => ({ ...chunk(identity), usage: usageOf(completion) }),
  logprobs: chatLogprobs,
};

function chunk(identity: AnswerIdentity, ...choices: object[]): object {
  return { ...identity, object: 'chat.completion.chunk', choices };
}

function choice(
  parts: Pick<Piece, 'index'> & Partial<Pick<Piece, 'logprobs'>> & { delta: object; finishReason?: string },
): object {
  const { index, delta, logprobs = null, finishReason = null } = parts;
  return { index, delta, logprobs, finish_reason: finishReason };
}
