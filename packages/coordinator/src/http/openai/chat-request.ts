import { limits } from '@skein/protocol';
import { z } from 'zod';

import { validate, validateEach } from '../validate.ts';
import { messageSchema, messagesSchema } from './messages.ts';
import { refuseConflicts } from './conflicts.ts';
import { ignored, optional, sharedParameters, tokenLimit, unsupported } from './parameters.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';
import { promptSize } from './prompt-size.ts';
import { toInputs } from './to-inputs.ts';

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

/** Throws `invalid-request` that names the parameter at fault. */
export async function parseChatRequest(body: unknown, options: ParseOptions): Promise<ParsedRequest> {
  const request = validate(chatRequestSchema, body);
  const { model, stream = false, stream_options } = request;
  const messages = await validateEach(messageSchema, request.messages, { name: 'messages', turns: options.turns });
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const logprobs = request.logprobs === true ? (request.top_logprobs ?? 0) : undefined;
  const prompt = { type: 'chat', messages } as const;
  return {
    model,
    inputs: await toInputs(request, { prompt, maxTokens, logprobs }, options),
    promptSize: promptSize(prompt),
    stream,
    includeUsage: stream_options?.include_usage ?? false,
  };
}
