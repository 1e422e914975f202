import { finishReasonSchema, type Prompt } from '@skein/protocol';
import { z } from 'zod';

import type { GenerationEnd, TextDelta } from '../generation/generation.ts';
import type { TransportRequest } from '../generation/request.ts';

/** The request in OpenAI's words, and in the common extensions of them for what OpenAI has no word for. */
export function requestBody({ prompt, settings }: TransportRequest): object {
  return {
    ...promptBody(prompt),
    model: settings.model,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: settings.maxTokens,
    temperature: settings.temperature,
    top_p: settings.topP,
    top_k: settings.topK,
    min_p: settings.minP,
    seed: settings.seed,
    stop: settings.stop,
  };
}

function promptBody(prompt: Prompt): object {
  switch (prompt.type) {
    case 'chat':
      return { messages: prompt.messages };
    case 'text':
      return { prompt: prompt.text };
    case 'tokens':
      return { prompt: prompt.tokens };
  }
}

export const modelListSchema = z.object({
  data: z.array(z.object({ id: z.string(), skein: z.object({ deployed: z.boolean() }).optional() })),
});

const countSchema = z.number().int().nonnegative();
const millisecondsSchema = z.number().nonnegative();

/** One event of a chat or a text completion. The last one carries no choice, but usage. */
const wireChunkSchema = z.object({
  choices: z.array(
    z.object({
      delta: z.object({ content: z.string().nullish() }).optional(),
      text: z.string().nullish(),
      finish_reason: finishReasonSchema.nullish(),
    }),
  ),
  usage: z.object({ prompt_tokens: countSchema, completion_tokens: countSchema }).nullish(),
  /** Skein's own, in the chunk with the finish reason. */
  skein: z.object({ timings: z.object({ firstTokenMs: millisecondsSchema, decodeMs: millisecondsSchema }) }).nullish(),
});

/** What one event adds to a generation. */
export interface Chunk extends Partial<GenerationEnd> {
  readonly delta?: TextDelta;
}

export const chunkSchema = wireChunkSchema.transform(({ choices: [choice], usage, skein }): Chunk => {
  const text = choice?.delta?.content ?? choice?.text;
  return {
    ...(typeof text === 'string' && { delta: { text } }),
    ...(choice?.finish_reason && { finishReason: choice.finish_reason }),
    ...(usage && { usage: { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens } }),
    ...(skein && { timings: skein.timings }),
  };
});
