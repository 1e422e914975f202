import { limits, tokensSchema, type Prompt } from '@skein/protocol';
import { z } from 'zod';

import { validate } from '../validate.ts';
import { refuseConflicts } from './conflicts.ts';
import { optional, sharedParameters, unsupported } from './parameters.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';
import { promptSize } from './prompt-size.ts';
import { toInputs } from './to-inputs.ts';

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
    logprobs: optional(z.number().int().min(0).max(limits.maxTopLogprobs)),
    suffix: unsupported(''),
  })
  .superRefine(refuseConflicts);

/** Throws `invalid-request` that names the parameter at fault. */
export async function parseCompletionRequest(body: unknown, options: ParseOptions): Promise<ParsedRequest> {
  const request = validate(completionRequestSchema, body);
  const { model, prompt, logprobs, max_tokens: maxTokens = defaultMaxTokens, stream = false, stream_options } = request;
  return {
    model,
    inputs: await toInputs(request, { prompt, maxTokens, logprobs }, options),
    promptSize: promptSize(prompt),
    stream,
    includeUsage: stream_options?.include_usage ?? false,
  };
}
