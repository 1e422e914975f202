import { limits, type Prompt } from '@skein/protocol';
import { z } from 'zod';

import { validate } from '../validate.ts';
import { sharedParameters, streamOptionsNeedStream, toSampling, toStop, unsupported } from './parameters.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';

/** OpenAI's default for plain completions; chats get an equal share of the context (see `GenerationRequest.maxTokens`). */
const defaultMaxTokens = 16;

/** Each token takes at least two characters of JSON, so the body's limit is met first. */
const tokensSchema = z.array(z.number().int().nonnegative().max(limits.maxVocabularySize)).min(1);

const promptSchema = z
  .union([z.string(), tokensSchema, z.array(z.string()).length(1), z.array(tokensSchema).length(1)], {
    error: 'expected one prompt: a string or an array of token ids; send several prompts as several requests',
  })
  .transform((prompt): Prompt => {
    if (typeof prompt === 'string') return { type: 'text', text: prompt };
    const [first] = prompt;
    if (typeof first === 'string') return { type: 'text', text: first };
    return { type: 'tokens', tokens: prompt.flat().filter((token) => typeof token === 'number') };
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
