import { tokensSchema, type Prompt } from '@skein/protocol';
import { z } from 'zod';

import { validate } from '../validate.ts';
import { sharedParameters, streamOptionsNeedStream, toSampling, toStop, unsupported } from './parameters.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';

/** OpenAI's default for plain completions; chats get an equal share of the context (see `GenerationRequest.maxTokens`). */
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
    logprobs: unsupported(),
    suffix: unsupported(''),
  })
  .refine(streamOptionsNeedStream, { path: ['stream_options'], error: "only allowed when 'stream' is true" });

/** Throws `invalid-request` that names the parameter at fault. */
export function parseCompletionRequest(body: unknown, { randomSeed }: ParseOptions): ParsedRequest {
  const request = validate(completionRequestSchema, body);
  return {
    model: request.model,
    input: {
      prompt: request.prompt,
      sampling: toSampling(request, randomSeed),
      stop: toStop(request.stop),
      maxTokens: request.max_tokens ?? defaultMaxTokens,
    },
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
}
