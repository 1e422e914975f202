import { limits, tokensSchema, type Prompt } from '@skein/protocol';
import { z } from 'zod';

import { validate } from '../validate.ts';
import {
  skeinOf,
  textOfToken,
  usageOf,
  utf8,
  type AnswerFormat,
  type AnswerIdentity,
  type LogprobsFormat,
  type Piece,
  type TokenLogprob,
} from './answer-format.ts';
import { optional, refuseConflicts, sharedParameters, unsupported } from './parameters.ts';
import { toParsedRequest, type ParsedRequest, type ParseOptions } from './request.ts';

/**
 * OpenAI's default for the tokens of plain completions; chats get an equal share of the context (see
 * `GenerationRequest.maxTokens`).
 */
const defaultMaxTokens = 16;

const promptSchema = z.unknown().transform((value, context): Prompt => {
  // A list of one prompt is that prompt.
  const prompt: unknown = Array.isArray(value) && value.length === 1 && typeof value[0] !== 'number' ? value[0] : value;
  if (typeof prompt === 'string') return { type: 'text', text: prompt };
  const tokens = tokensSchema.safeParse(prompt);
  if (tokens.success) return { type: 'tokens', tokens: tokens.data };
  context.addIssue({
    code: 'custom',
    message: 'expected one prompt: a string or an array of token ids; send several prompts as several requests',
  });
  return z.NEVER;
});

/** Body of `POST /v1/completions`. */
const completionRequestSchema = z
  .strictObject({
    ...sharedParameters,
    prompt: promptSchema,
    best_of: unsupported(1),
    echo: unsupported(false),
    logprobs: optional(z.number().int().min(0).max(limits.maxTopLogprobs)),
    suffix: unsupported(''),
  })
  .superRefine(refuseConflicts);

/**
 * Parses the body of a text completion.
 *
 * @throws SkeinError `invalid-request` that names the parameter at fault
 */
export async function parseCompletionRequest(body: unknown, options: ParseOptions): Promise<ParsedRequest> {
  const request = validate(completionRequestSchema, body);
  const { prompt, logprobs, max_tokens: maxTokens = defaultMaxTokens } = request;
  return await toParsedRequest(request, { prompt, maxTokens, logprobs }, options);
}

/** Format of `text_completion`, whose chunks look like the whole. */
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

/**
 * Makes the formatter of `choices[].logprobs` of a text completion and its chunks: lists side by side, offsets counted
 * over all chunks.
 */
function completionLogprobs(): LogprobsFormat {
  // A character's bytes may lie in several tokens: the offset moves on when it is complete, as the text does.
  const characters = new TextDecoder(...utf8);
  let offset = 0;
  return (described) => ({
    tokens: described.map(textOfToken),
    token_logprobs: described.map(({ logprob }) => logprob),
    top_logprobs: described.map((token) => likeliest([...token.top, token])),
    text_offset: described.map(({ bytes }) => {
      const start = offset;
      offset += characters.decode(Uint8Array.from(bytes), { stream: true }).length;
      return start;
    }),
  });
}

/**
 * Returns log-probabilities by token; of several that look alike the first, which is the likeliest. The drawn token is
 * always among them.
 */
function likeliest(tokens: readonly TokenLogprob[]): Record<string, number> {
  const byText = new Map<string, number>();
  for (const token of tokens) {
    const text = textOfToken(token);
    if (!byText.has(text)) byText.set(text, token.logprob);
  }
  return Object.fromEntries(byText);
}
