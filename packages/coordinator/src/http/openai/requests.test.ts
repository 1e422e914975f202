import { fromText, unpackPrompt } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { post, testApp } from '../../testing/test-app.ts';

const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }] };
const plain = { model: 'org/tiny', prompt: 'Once' };

/** Returns the input of the first choice, with its prompt unpacked. */
async function inputOf(path: string, body: unknown) {
  const { app, received } = testApp();
  const response = await post(app, path, body);
  expect(await response.json()).not.toHaveProperty('error');
  const input = received[0]?.inputs[0];
  return input && { ...input, prompt: unpackPrompt(input.prompt) };
}

async function errorOf(path: string, body: unknown): Promise<unknown> {
  const { app } = testApp();
  const response = await post(app, path, body);
  expect(response.status).toBe(400);
  return ((await response.json()) as { error: unknown }).error;
}

describe('a chat request', () => {
  it('gets defaults for what it leaves out', async () => {
    expect(await inputOf('/v1/chat/completions', chat)).toEqual({
      prompt: { type: 'chat', messages: [fromText({ role: 'user', content: 'Hi' })] },
      sampling: { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, seed: 42 },
      stop: [],
    });
  });

  it('passes on every supported parameter', async () => {
    const body = {
      ...chat,
      temperature: 0,
      top_p: 0.5,
      top_k: 3,
      min_p: 0.1,
      seed: 7,
      stop: ['a', 'b'],
      max_completion_tokens: 9,
    };
    expect(await inputOf('/v1/chat/completions', body)).toMatchObject({
      sampling: { temperature: 0, topP: 0.5, topK: 3, minP: 0.1, seed: 7 },
      stop: ['a', 'b'],
      maxTokens: 9,
    });
  });

  it('takes text parts and the messages of earlier answers', async () => {
    const messages = [
      { role: 'developer', content: 'Be brief', name: 'ops' },
      { role: 'user', content: [{ type: 'text', text: 'Hel' }, { type: 'text', text: 'lo' }] }, // prettier-ignore
      { role: 'assistant', content: 'Hi', refusal: null, annotations: [], tool_calls: [] },
    ];
    expect((await inputOf('/v1/chat/completions', { ...chat, messages }))?.prompt).toEqual({
      type: 'chat',
      messages: [
        fromText({ role: 'developer', content: 'Be brief', name: 'ops' }),
        fromText({ role: 'user', content: 'Hello' }),
        fromText({ role: 'assistant', content: 'Hi' }),
      ],
    });
  });

  it('accepts parameters that change nothing, and null for any optional one', async () => {
    const neutral = {
      user: 'me',
      metadata: { team: 'a' },
      store: false,
      service_tier: 'auto',
      n: 1,
      presence_penalty: 0,
      frequency_penalty: null,
      logit_bias: {},
      logprobs: false,
      tools: [],
      tool_choice: 'none',
      parallel_tool_calls: true,
      response_format: { type: 'text' },
      modalities: ['text'],
      temperature: null,
      stop: null,
      max_tokens: null,
      stream: null,
      stream_options: null,
    };
    expect(await inputOf('/v1/chat/completions', { ...chat, ...neutral })).toMatchObject({ sampling: { seed: 42 } });
  });

  it('passes on how tokens are drawn, under the names of OpenAI, llama.cpp and vLLM', async () => {
    const body = {
      ...chat,
      presence_penalty: 0.5,
      frequency_penalty: -0.5,
      repetition_penalty: 1.1,
      repeat_last_n: -1,
      typical_p: 0.9,
      xtc_probability: 0.5,
      dry_multiplier: 0.8,
      dry_sequence_breakers: ['.'],
      logit_bias: { 5: -100, 6: 1.5 },
      grammar: 'root ::= "yes" | "no"',
      logprobs: true,
      top_logprobs: 2,
      speculation: false,
    };
    expect(await inputOf('/v1/chat/completions', body)).toMatchObject({
      sampling: {
        penalties: { lastTokens: -1, repeat: 1.1, frequency: -0.5, presence: 0.5 },
        typicalP: 0.9,
        xtc: { probability: 0.5, threshold: 0.1 },
        dry: { multiplier: 0.8, base: 1.75, allowedLength: 2, lastTokens: -1, breakers: ['.'] },
        logitBias: [{ token: 5, bias: -100 }, { token: 6, bias: 1.5 }], // prettier-ignore
        grammar: 'root ::= "yes" | "no"',
        logprobs: 2,
      },
      speculation: false,
    });
    expect(
      (await inputOf('/v1/chat/completions', { ...chat, mirostat: 2, mirostat_eta: 0.2 }))?.sampling,
    ).toMatchObject({
      mirostat: { version: 2, tau: 5, eta: 0.2 },
    });
  });

  it.each([
    { presence_penalty: 0, frequency_penalty: 0, repeat_penalty: 1, repeat_last_n: 64 },
    { repeat_penalty: 1.5, repeat_last_n: 0 },
    { typical_p: 1, xtc_probability: 0, xtc_threshold: 0.1, dry_multiplier: 0, dry_base: 1.75 },
    { mirostat: 0, mirostat_tau: 5, mirostat_eta: 0.1, top_p: 0.95, top_k: 40 },
    { stop: '', logit_bias: [] },
    { stop: ['', ''], messages: [{ role: 'user', content: 'Hi', name: null, tool_calls: null }] },
    { grammar: '', logit_bias: {}, logprobs: false, top_logprobs: 0, response_format: { type: 'text' } },
  ])('takes %j for nothing', async (neutral) => {
    expect(await inputOf('/v1/chat/completions', { ...chat, ...neutral })).toEqual({
      prompt: { type: 'chat', messages: [fromText({ role: 'user', content: 'Hi' })] },
      sampling: { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, seed: 42 },
      stop: [],
    });
  });

  it('keeps all tokens for a top_k of -1, as vLLM does', async () => {
    expect((await inputOf('/v1/chat/completions', { ...chat, top_k: -1 }))?.sampling.topK).toBe(0);
  });

  it('has JSON follow the schema of its response format, or any when there is none', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    const format = { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } };
    const input = await inputOf('/v1/chat/completions', { ...chat, response_format: format });
    expect(JSON.parse(input?.jsonSchema ?? '')).toEqual(schema);
    expect(input?.sampling.grammar).toBeUndefined();
    const any = await inputOf('/v1/chat/completions', { ...chat, response_format: { type: 'json_object' } });
    expect(JSON.parse(any?.jsonSchema ?? '')).toEqual({ type: 'object' });
  });

  it('asks for each choice with a seed of its own, the first as if it were the only one', async () => {
    const seedsOf = async (n: number) => {
      const { app, received } = testApp();
      await post(app, '/v1/chat/completions', { ...chat, n, seed: 7 });
      return received[0]?.inputs.map(({ sampling }) => sampling.seed) ?? [];
    };
    const seeds = await seedsOf(8);
    expect(await seedsOf(1)).toEqual([7]);
    expect(await seedsOf(3)).toEqual(seeds.slice(0, 3));
    expect(seeds[0]).toBe(7);
    expect(new Set(seeds).size).toBe(8);
  });

  it.each([
    [-2, 0xffff_fffe],
    [2 ** 32 + 5, 5],
    [2 ** 62, 0],
  ])('folds the seed %d to 32 bits', async (seed, folded) => {
    expect((await inputOf('/v1/chat/completions', { ...chat, seed }))?.sampling.seed).toBe(folded);
  });

  it.each([-1, 0xffff_ffff])('draws a random seed for %d, as llama.cpp does', async (seed) => {
    expect((await inputOf('/v1/chat/completions', { ...chat, seed }))?.sampling.seed).toBe(42);
  });

  it.each(['/v1/chat/completions', '/v1/completions'])('sets no limit at %s for -1 tokens', async (path) => {
    const body = path === '/v1/completions' ? plain : chat;
    expect(await inputOf(path, { ...body, max_tokens: -1 })).not.toHaveProperty('maxTokens');
  });

  it('takes the likeliest token when top_p is 0', async () => {
    expect((await inputOf('/v1/chat/completions', { ...chat, top_p: 0 }))?.sampling.topK).toBe(1);
  });

  it.each([
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['response_format.type', { response_format: { type: 'xml' } }],
    ['response_format.json_schema', { response_format: { type: 'json_schema' } }],
    ['response_format.json_schema.name', { response_format: { type: 'json_schema', json_schema: { name: 'a b' } } }],
    ['logprobs', { logprobs: 3 }],
    ['top_logprobs', { top_logprobs: 3 }],
    ['top_logprobs', { logprobs: true, top_logprobs: 21 }],
    ['logit_bias.5', { logit_bias: { 5: 101 } }],
    ['logit_bias.Paris', { logit_bias: { Paris: 1 } }],
    ['n', { n: 0 }],
    ['n', { n: 9 }],
    ['presence_penalty', { presence_penalty: 2.5 }],
    ['frequency_penalty', { frequency_penalty: '1' }],
    ['repeat_penalty', { repeat_penalty: 0 }],
    ['repeat_last_n', { repeat_last_n: -2 }],
    ['repetition_penalty', { repeat_penalty: 1.1, repetition_penalty: 1.2 }],
    ['typical_p', { typical_p: 1.5 }],
    ['xtc_probability', { xtc_probability: 2 }],
    ['dry_base', { dry_base: 0.5 }],
    ['dry_sequence_breakers', { dry_sequence_breakers: 'x' }],
    ['mirostat', { mirostat: 3 }],
    ['mirostat', { mirostat: 2, top_p: 0.5 }],
    ['mirostat', { mirostat: 2, temperature: 0 }],
    ['grammar', { grammar: 'root ::= "a"', response_format: { type: 'json_object' } }],
    ['speculation', { speculation: 'on' }],
    ['best_of', { best_of: 2 }],
    ['store', { store: true }],
    ['temperature', { temperature: 3 }],
    ['temperature', { temperature: 'hot' }],
    ['seed', { seed: 1.5 }],
    ['stop', { stop: Array.from({ length: 17 }, String) }],
    ['stop', { stop: 'x'.repeat(513) }],
    ['max_tokens', { max_tokens: 0 }],
    ['max_tokens', { max_tokens: -2 }],
    ['max_tokens', { max_tokens: 1, max_completion_tokens: 1 }],
    ['stream_options', { stream_options: { include_usage: true } }],
    ['messages', { messages: [] }],
    ['messages', { messages: undefined }],
    ['model', { model: undefined }],
    ['messages[0].role', { messages: [{ role: 'tool', content: 'x' }] }],
    ['messages[0].content', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    ['messages[0].tool_calls', { messages: [{ role: 'assistant', content: '', tool_calls: [{}] }] }],
    ['temprature', { temprature: 1 }],
  ])('is refused with the parameter %s named: %j', async (param, change) => {
    expect(await errorOf('/v1/chat/completions', { ...chat, ...change })).toEqual({
      message: expect.stringContaining(param) as string,
      type: 'invalid_request_error',
      param,
      code: 'invalid_request',
    });
  });

  it.each([
    [{ messages: [] }, "Invalid value for 'messages': expected at least 1 item"],
    [{ messages: 'Hi' }, "Invalid value for 'messages': expected an array"],
    [{ model: '' }, "Invalid value for 'model': expected at least 1 character"],
    [{ model: 5 }, "Invalid value for 'model': expected a string"],
    [{ temperature: 'hot' }, "Invalid value for 'temperature': expected a number"],
    [{ temperature: 3 }, "Invalid value for 'temperature': expected a number of at most 2"],
    [{ max_tokens: 0 }, "Invalid value for 'max_tokens': expected at least 1, or -1 for no limit"],
    [{ max_tokens: 1.5 }, "Invalid value for 'max_tokens': expected a whole number"],
    [{ stream: 'yes' }, "Invalid value for 'stream': expected a boolean"],
    [{ messages: [5] }, "Invalid value for 'messages[0]': expected an object"],
  ])('says in plain words what is wrong with %j', async (change, message) => {
    expect(await errorOf('/v1/chat/completions', { ...chat, ...change })).toMatchObject({ message });
  });

  it('says in the words of OpenAI what is missing or unknown', async () => {
    expect(await errorOf('/v1/chat/completions', { messages: chat.messages })).toMatchObject({
      message: "Missing required parameter: 'model'",
    });
    expect(await errorOf('/v1/chat/completions', { ...chat, foo: 1 })).toMatchObject({
      message: 'Unrecognized request argument supplied: foo',
    });
  });
});

describe('a completion request', () => {
  it('generates 16 tokens unless asked for more', async () => {
    expect(await inputOf('/v1/completions', plain)).toMatchObject({
      prompt: { type: 'text', text: 'Once' },
      maxTokens: 16,
    });
  });

  it.each([
    ['one text', ['Once'], { type: 'text', text: 'Once' }],
    ['token ids', [1, 2], { type: 'tokens', tokens: [1, 2] }],
    ['one list of token ids', [[1, 2]], { type: 'tokens', tokens: [1, 2] }],
  ])('takes %s as prompt', async (_, prompt, expected) => {
    expect((await inputOf('/v1/completions', { ...plain, prompt }))?.prompt).toEqual(expected);
  });

  it.each([
    ['prompt', { prompt: ['a', 'b'] }],
    ['prompt', { prompt: [] }],
    ['prompt', { prompt: undefined }],
    ['echo', { echo: true }],
    ['best_of', { best_of: 2 }],
    ['logprobs', { logprobs: 21 }],
    ['logprobs', { logprobs: true }],
    ['suffix', { suffix: 'end' }],
    ['messages', { messages: [] }],
  ])('is refused with the parameter %s named: %j', async (param, change) => {
    expect(await errorOf('/v1/completions', { ...plain, ...change })).toMatchObject({ param });
  });
});

it.each([
  ['{', /not valid JSON/],
  ['[]', /must be a JSON object/],
  ['null', /must be a JSON object/],
])('refuses the body %s', async (body, message) => {
  expect(await errorOf('/v1/chat/completions', body)).toMatchObject({
    message: expect.stringMatching(message) as string,
    param: null,
  });
});
