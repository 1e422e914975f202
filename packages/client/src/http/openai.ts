import { finishReasonSchema, textOf, type Prompt, type Usage } from '@skein/protocol';
import { z } from 'zod';

import type { GenerationEnd, Logprobs, TextDelta, TokenLogprob } from '../generation/generation.ts';
import type { TransportRequest } from '../generation/request.ts';
import { answerStartSchema, type AnswerStart, type Interruptions } from './answer-state.ts';

/** Translates a request into OpenAI's words, with the common extensions for settings that OpenAI has no word for. */
export function requestBody({ prompt, settings }: TransportRequest): object {
  const { penalties, dry, xtc, mirostat, jsonSchema } = settings;
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
    typical_p: settings.typicalP,
    xtc_probability: xtc?.probability,
    xtc_threshold: xtc?.threshold,
    repeat_last_n: penalties?.lastTokens,
    repeat_penalty: penalties?.repeat,
    frequency_penalty: penalties?.frequency,
    presence_penalty: penalties?.presence,
    dry_multiplier: dry?.multiplier,
    dry_base: dry?.base,
    dry_allowed_length: dry?.allowedLength,
    dry_penalty_last_n: dry?.lastTokens,
    dry_sequence_breakers: dry?.breakers,
    mirostat: mirostat?.version,
    mirostat_tau: mirostat?.tau,
    mirostat_eta: mirostat?.eta,
    logit_bias: settings.logitBias && biasesOf(settings.logitBias),
    grammar: settings.grammar,
    response_format: jsonSchema && { type: 'json_schema', json_schema: { name: 'answer', schema: jsonSchema } },
    speculation: settings.speculation,
    ...logprobsBody(prompt, settings.logprobs),
    seed: settings.seed,
    stop: settings.stop,
  };
}

/** Translates biases into OpenAI's, which end at 100, and where -100 bans a token. */
function biasesOf(biases: NonNullable<TransportRequest['settings']['logitBias']>): Record<string, number> {
  return Object.fromEntries(biases.map(({ token, bias }) => [token, Math.max(-100, Math.min(bias, 100))]));
}

function logprobsBody(prompt: Prompt, logprobs: number | undefined): object {
  if (logprobs === undefined) return {};
  return prompt.type === 'chat' ? { logprobs: true, top_logprobs: logprobs } : { logprobs };
}

function promptBody(prompt: Prompt): object {
  switch (prompt.type) {
    case 'chat':
      return {
        messages: prompt.messages.map((message) => {
          const { role, name } = message;
          return { role, content: textOf(message), ...(name !== undefined && { name }) };
        }),
      };
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

const usageSchema = z
  .object({
    prompt_tokens: countSchema,
    completion_tokens: countSchema,
    prompt_tokens_details: z.object({ cached_tokens: countSchema.nullish() }).nullish(),
    completion_tokens_details: z
      .object({ accepted_prediction_tokens: countSchema.nullish(), rejected_prediction_tokens: countSchema.nullish() })
      .nullish(),
    failovers: countSchema.nullish(),
    pauseMs: millisecondsSchema.nullish(),
  })
  .transform((usage): Usage => {
    const cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? undefined;
    const acceptedTokens = usage.completion_tokens_details?.accepted_prediction_tokens ?? undefined;
    const rejectedTokens = usage.completion_tokens_details?.rejected_prediction_tokens ?? undefined;
    return {
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      ...(cachedTokens !== undefined && { cachedTokens }),
      ...(acceptedTokens !== undefined &&
        rejectedTokens !== undefined && { draftedTokens: acceptedTokens + rejectedTokens, acceptedTokens }),
      ...(typeof usage.failovers === 'number' && { failovers: usage.failovers }),
      ...(typeof usage.pauseMs === 'number' && { pauseMs: usage.pauseMs }),
    };
  });

const tokenLogprobSchema = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.number()).nullish() });

/** Log-probabilities of a chat, a list of tokens, or of a text completion, lists side by side. */
const logprobsSchema = z.object({
  content: z.array(tokenLogprobSchema.extend({ top_logprobs: z.array(tokenLogprobSchema) })).nullish(),
  tokens: z.array(z.string()).nullish(),
  token_logprobs: z.array(z.number()).nullish(),
  top_logprobs: z.array(z.record(z.string(), z.number())).nullish(),
});

/** One event of a chat or a text completion. The last one carries usage and no choice. */
const wireChunkSchema = z.object({
  choices: z.array(
    z.object({
      delta: z.object({ content: z.string().nullish() }).optional(),
      text: z.string().nullish(),
      logprobs: logprobsSchema.nullish(),
      finish_reason: finishReasonSchema.nullish(),
    }),
  ),
  usage: usageSchema.nullish(),
  /**
   * Skein's own extensions: timings in the chunk with the finish reason, and what {@link AnswerState} is made of in the
   * others.
   */
  skein: z
    .object({
      timings: z.object({ firstTokenMs: millisecondsSchema, decodeMs: millisecondsSchema }).optional(),
      state: answerStartSchema.optional(),
      tokens: z.array(countSchema).optional(),
      mu: z.number().optional(),
      failovers: countSchema.optional(),
      pauseMs: millisecondsSchema.optional(),
    })
    .nullish(),
});

/** A generation's increment in one event. */
export interface Chunk extends Partial<GenerationEnd> {
  readonly delta?: TextDelta;
  /** The facts that a replica began with. */
  readonly start?: AnswerStart;
  /** Mirostat's state after the delta. */
  readonly mu?: number;
  /** Interruptions of the answer so far, as this coordinator counts them. */
  readonly interruptions?: Interruptions;
}

export const chunkSchema = wireChunkSchema.transform(({ choices: [choice], usage, skein }): Chunk => {
  const text = choice?.delta?.content ?? choice?.text;
  const logprobs = choice?.logprobs && logprobsOf(choice.logprobs);
  return {
    ...(typeof text === 'string' && {
      delta: { text, ...(skein?.tokens && { tokens: skein.tokens }), ...(logprobs && { logprobs }) },
    }),
    ...(choice?.finish_reason && { finishReason: choice.finish_reason }),
    ...(usage && { usage }),
    ...(skein?.timings && { timings: skein.timings }),
    ...(skein?.state && { start: skein.state }),
    ...(skein?.mu !== undefined && { mu: skein.mu }),
    ...(skein?.failovers !== undefined && {
      interruptions: { failovers: skein.failovers, pauseMs: skein.pauseMs ?? 0 },
    }),
  };
});

function logprobsOf({ content, tokens, ...lists }: z.output<typeof logprobsSchema>): Logprobs[] {
  if (content) return content.map(({ top_logprobs: top, ...token }) => ({ ...tokenOf(token), top: top.map(tokenOf) }));
  return (tokens ?? []).map((text, index) => ({
    text,
    logprob: lists.token_logprobs?.[index] ?? 0,
    top: Object.entries(lists.top_logprobs?.[index] ?? {}).map(([other, logprob]) => ({ text: other, logprob })),
  }));
}

function tokenOf({ token, logprob, bytes }: z.output<typeof tokenLogprobSchema>): TokenLogprob {
  return { text: token, logprob, ...(bytes && { bytes }) };
}
