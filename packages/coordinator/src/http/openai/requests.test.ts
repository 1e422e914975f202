import { describe, expect, it } from 'vitest';

import { post, testApp } from '../../testing/test-app.ts';

const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }] };
const plain = { model: 'org/tiny', prompt: 'Once' };

async function inputOf(path: string, body: unknown) {
  const { app, received } = testApp();
  const response = await post(app, path, body);
  expect(await response.json()).not.toHaveProperty('error');
  return received[0]?.input;
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
      prompt: { type: 'chat', messages: [{ role: 'user', content: 'Hi' }] },
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
        { role: 'developer', content: 'Be brief', name: 'ops' },
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: 'Hi' },
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

  it.each([
    [-1, 0xffff_ffff],
    [2 ** 32 + 5, 5],
    [2 ** 62, 0],
  ])('folds the seed %d to 32 bits', async (seed, folded) => {
    expect((await inputOf('/v1/chat/completions', { ...chat, seed }))?.sampling.seed).toBe(folded);
  });

  it('takes the likeliest token when top_p is 0', async () => {
    expect((await inputOf('/v1/chat/completions', { ...chat, top_p: 0 }))?.sampling.topK).toBe(1);
  });

  it.each([
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['logprobs', { logprobs: true }],
    ['logit_bias', { logit_bias: { 5: 1 } }],
    ['n', { n: 2 }],
    ['presence_penalty', { presence_penalty: 0.5 }],
    ['store', { store: true }],
    ['temperature', { temperature: 3 }],
    ['temperature', { temperature: 'hot' }],
    ['seed', { seed: 1.5 }],
    ['stop', { stop: Array.from({ length: 17 }, String) }],
    ['stop', { stop: '' }],
    ['max_tokens', { max_tokens: 0 }],
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
    [{ max_tokens: 0 }, "Invalid value for 'max_tokens': expected a number of more than 0"],
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
    ['logprobs', { logprobs: 0 }],
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
