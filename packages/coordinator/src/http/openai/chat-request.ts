import { z } from 'zod';

import { validate } from '../validate.ts';
import { messagesSchema } from './messages.ts';
import {
  ignored,
  sharedParameters,
  streamOptionsNeedStream,
  tokenLimit,
  toSampling,
  toStop,
  unsupported,
} from './parameters.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';

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
    response_format: unsupported({ type: 'text' }),
    logprobs: unsupported(false),
    top_logprobs: unsupported(0),
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
  .refine(streamOptionsNeedStream, { path: ['stream_options'], error: "only allowed when 'stream' is true" })
  .refine((body) => body.max_tokens === undefined || body.max_completion_tokens === undefined, {
    path: ['max_tokens'],
    error: "set either this or 'max_completion_tokens'",
  });

/** Throws `invalid-request` that names the parameter at fault. */
export function parseChatRequest(body: unknown, { randomSeed }: ParseOptions): ParsedRequest {
  const request = validate(chatRequestSchema, body);
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  return {
    model: request.model,
    input: {
      prompt: { type: 'chat', messages: request.messages },
      sampling: toSampling(request, randomSeed),
      stop: toStop(request.stop),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    },
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
}
