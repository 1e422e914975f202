import { arraySchema, fromText, limits, type Message } from '@skein/protocol';
import { z } from 'zod';

import { validate, validateEach } from '../validate.ts';
import {
  skeinOf,
  textOfToken,
  usageOf,
  type AnswerFormat,
  type AnswerIdentity,
  type LogprobsFormat,
  type Piece,
  type TokenLogprob,
} from './answer-format.ts';
import {
  ignored,
  isObject,
  optional,
  refuseConflicts,
  sharedParameters,
  tokenLimit,
  unsupported,
} from './parameters.ts';
import { toParsedRequest, type ParsedRequest, type ParseOptions } from './request.ts';

const textPartSchema = z.strictObject({ type: z.literal('text'), text: z.string() });

/** Most parts in one message: more than any client splits a text into. */
const maxTextParts = 1024;

const contentSchema = z.union([z.string(), arraySchema(textPartSchema, { least: 1, most: maxTextParts })], {
  error: ({ input }) => explainContent(input),
});

/** Returns the reason why a value is no content. */
function explainContent(content: unknown): string {
  if (content === null) return 'null is not supported; send "" for a message without text';
  if (!Array.isArray(content)) return 'expected a string or an array of text parts';
  if (content.length === 0) return 'expected at least 1 text part; send "" for a message without text';
  if (content.length > maxTextParts) return `expected at most ${maxTextParts} text parts`;
  const isOtherPart = content.some((part) => isObject(part) && 'type' in part && part.type !== 'text');
  if (isOtherPart) return 'expected text parts; images, audio and files are not supported yet';
  return 'expected text parts: {"type": "text", "text": "..."}';
}

/**
 * One message: string content or text parts, which are joined without anything between them. It accepts the keys of our
 * answers, so that an answer can be sent back as it came.
 */
const messageSchema = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant'], {
      error: 'expected system, developer, user or assistant; tools are not supported yet',
    }),
    content: contentSchema,
    name: optional(z.string().max(limits.maxNameLength)),
    refusal: unsupported(),
    annotations: unsupported([]),
    audio: unsupported(),
    tool_calls: unsupported([]),
    function_call: unsupported(),
  })
  .transform(({ role, content, name }): Message => {
    const text = typeof content === 'string' ? content : content.map((part) => part.text).join('');
    return fromText({ role, content: text, name });
  });

/** A conversation whose messages are not checked yet. */
const messagesSchema = arraySchema(z.unknown(), { least: 1, most: limits.maxMessages });

/** Body of `POST /v1/chat/completions`. */
const chatRequestSchema = z
  .strictObject({
    ...sharedParameters,
    messages: messagesSchema,
    max_completion_tokens: tokenLimit,
    tools: unsupported([]),
    tool_choice: unsupported('none', 'auto'),
    functions: unsupported([]),
    function_call: unsupported('none', 'auto'),
    logprobs: optional(z.boolean()),
    top_logprobs: optional(z.number().int().min(0).max(limits.maxTopLogprobs)),
    modalities: unsupported(['text']),
    audio: unsupported(),
    web_search_options: unsupported(),
    reasoning_effort: unsupported('none'),
    verbosity: unsupported('medium'),
    moderation: unsupported(),
    store: unsupported(false),
    parallel_tool_calls: ignored,
    prediction: ignored,
    metadata: ignored,
    service_tier: ignored,
    safety_identifier: ignored,
    prompt_cache_key: ignored,
    prompt_cache_options: ignored,
    prompt_cache_retention: ignored,
  })
  .superRefine(refuseConflicts)
  .refine((body) => !body.top_logprobs || body.logprobs === true, {
    path: ['top_logprobs'],
    error: "only allowed when 'logprobs' is true",
  })
  .refine((body) => body.max_tokens === undefined || body.max_completion_tokens === undefined, {
    path: ['max_tokens'],
    error: "set either this or 'max_completion_tokens'",
  });

/**
 * Parses the body of a chat completion.
 *
 * @throws SkeinError `invalid-request` that names the parameter at fault
 */
export async function parseChatRequest(body: unknown, options: ParseOptions): Promise<ParsedRequest> {
  const request = validate(chatRequestSchema, body);
  const messages = await validateEach(messageSchema, request.messages, { name: 'messages', turns: options.turns });
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const logprobs = request.logprobs === true ? (request.top_logprobs ?? 0) : undefined;
  const prompt = { type: 'chat', messages } as const;
  return await toParsedRequest(request, { prompt, maxTokens, logprobs }, options);
}

/** Format of `chat.completion` and its chunks. */
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

/** Makes the formatter of `choices[].logprobs` of a chat completion and its chunks. */
function chatLogprobs(): LogprobsFormat {
  const entry = (token: TokenLogprob) => ({ token: textOfToken(token), logprob: token.logprob, bytes: token.bytes });
  return (described) => ({
    content: described.map((token) => ({ ...entry(token), top_logprobs: token.top.map(entry) })),
    refusal: null,
  });
}
