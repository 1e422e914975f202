import { once } from 'node:events';

import { asSkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { connect } from '../connect.ts';
import { beginEvents, endChunks, startScriptedServer, textChunk, type Script } from '../testing/scripted-server.ts';

const question = { model: 'tiny', messages: [{ role: 'user' as const, content: 'hello' }] };

function chat(answer: Script[string]): Script {
  return { '/v1/chat/completions': answer };
}

test('streams the text and says how it ended', async () => {
  const script = chat((response) => {
    const send = beginEvents(response);
    send(textChunk('one '));
    send(textChunk('two'));
    endChunks.forEach(send);
    response.end();
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  const generation = client.chat(question);
  const texts: string[] = [];
  for await (const { text } of generation) texts.push(text);
  expect(texts.join('')).toBe('one two');
  expect(await generation.result()).toEqual({
    text: 'one two',
    finishReason: 'stop',
    usage: { promptTokens: 3, completionTokens: 2 },
  });
});

test('asks in the words of the API', async () => {
  let asked: unknown;
  const script: Script = {
    '/v1/completions': (response, body) => {
      asked = body;
      const send = beginEvents(response);
      send({ choices: [{ text: 'x', finish_reason: null }] });
      endChunks.forEach(send);
      response.end();
    },
  };
  await using server = await startScriptedServer(script);
  await using client = await connect({ url: `${server.url}/v1/` });
  const settings = { model: 'tiny', maxTokens: 8, temperature: 0, topP: 0.5, topK: 3, minP: 0, seed: 7, stop: ['.'] };
  const { text } = await client.complete({ prompt: 'once', ...settings }).result();
  expect(text).toBe('x');
  expect(asked).toMatchObject({
    prompt: 'once',
    model: 'tiny',
    max_tokens: 8,
    temperature: 0,
    top_p: 0.5,
    stream: true,
  });
  expect(asked).toMatchObject({ top_k: 3, min_p: 0, seed: 7, stop: ['.'] });
});

test('asks for everything else in the words that llama.cpp and vLLM have for it', async () => {
  let asked: unknown;
  const script = chat((response, body) => {
    asked = body;
    endChunks.forEach(beginEvents(response));
    response.end();
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  const schema = { type: 'object' };
  const settings = {
    typicalP: 0.9,
    xtc: { probability: 0.5 },
    penalties: { repeat: 1.1, lastTokens: -1, presence: 0.5, frequency: 0.25 },
    dry: { multiplier: 0.8, breakers: ['.'] },
    logitBias: [{ token: 5, bias: -1e9 }],
    logprobs: 2,
    jsonSchema: schema,
    speculation: false,
  };
  await client.chat({ ...question, ...settings }).result();
  expect(asked).toMatchObject({
    typical_p: 0.9,
    xtc_probability: 0.5,
    repeat_penalty: 1.1,
    repeat_last_n: -1,
    presence_penalty: 0.5,
    frequency_penalty: 0.25,
    dry_multiplier: 0.8,
    dry_sequence_breakers: ['.'],
    logit_bias: { 5: -100 },
    logprobs: true,
    top_logprobs: 2,
    response_format: { type: 'json_schema', json_schema: { schema } },
    speculation: false,
  });
});

test.each([
  [
    'of a chat',
    {
      delta: { content: 'hi' },
      logprobs: { content: [{ token: 'hi', logprob: -1, bytes: [104, 105], top_logprobs: [{ token: 'ho', logprob: -2, bytes: [104, 111] }] }] }, // prettier-ignore
    },
    { text: 'hi', logprob: -1, bytes: [104, 105], top: [{ text: 'ho', logprob: -2, bytes: [104, 111] }] },
  ],
  [
    'of a text completion',
    { text: 'hi', logprobs: { tokens: ['hi'], token_logprobs: [-1], top_logprobs: [{ ho: -2 }], text_offset: [0] } },
    { text: 'hi', logprob: -1, top: [{ text: 'ho', logprob: -2 }] },
  ],
])(
  'gives log-probabilities %s, and what the usage says of the cache and of draft tokens',
  async (_name, choice, logprobs) => {
    const usage = {
      prompt_tokens: 3,
      completion_tokens: 1,
      prompt_tokens_details: { cached_tokens: 2 },
      completion_tokens_details: { accepted_prediction_tokens: 4, rejected_prediction_tokens: 1 },
    };
    const chunks = [{ choices: [{ ...choice, finish_reason: 'stop' }] }, { choices: [], usage }, '[DONE]'];
    const script = chat((response) => {
      chunks.forEach(beginEvents(response));
      response.end();
    });
    await using server = await startScriptedServer(script);
    await using client = await connect(server);
    const generation = client.chat(question);
    expect(await Array.fromAsync(generation)).toEqual([{ text: 'hi', logprobs: [logprobs] }]);
    expect((await generation.result()).usage).toEqual({
      promptTokens: 3,
      completionTokens: 1,
      cachedTokens: 2,
      draftedTokens: 5,
      acceptedTokens: 4,
    });
  },
);

test('asks the deployed model when none is named, and says so when there is none', async () => {
  let models = [
    { id: 'first', skein: { deployed: false } },
    { id: 'second', skein: { deployed: true } },
  ];
  let asked: unknown;
  const script: Script = {
    '/v1/models': (response) => response.end(JSON.stringify({ data: models })),
    ...chat((response, body) => {
      asked = body;
      endChunks.forEach(beginEvents(response));
      response.end();
    }),
  };
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  const { messages } = question;
  await client.chat({ messages }).result();
  expect(asked).toMatchObject({ model: 'second' });
  expect(await client.models()).toEqual([
    { name: 'first', isDeployed: false },
    { name: 'second', isDeployed: true },
  ]);
  models = [];
  await expect(client.chat({ messages }).result()).rejects.toMatchObject({
    code: 'not-deployed',
    message: expect.stringContaining('skein deploy'),
  });
});

test('gives the error of a refused request its code back, and the time after which to come again', async () => {
  const error = { message: 'the queue is full', type: 'rate_limit_error', code: 'overloaded', param: null };
  const script = chat((response) => response.writeHead(429, { 'retry-after': '7' }).end(JSON.stringify({ error })));
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'overloaded',
    retryable: true,
    message: 'the queue is full',
    details: { retryAfterSeconds: 7 },
  });
});

test('throws the error that comes in the middle of a stream, after the text before it', async () => {
  const script = chat((response) => {
    const send = beginEvents(response);
    send(textChunk('half'));
    send({ error: { message: 'a stage was lost', type: 'server_error', code: 'stage_lost', deliveredTokens: 1 } });
    response.end();
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  const texts: string[] = [];
  const read = async () => {
    for await (const { text } of client.chat(question)) texts.push(text);
  };
  await expect(read()).rejects.toMatchObject({ code: 'stage-lost', details: { deliveredTokens: 1 } });
  expect(texts).toEqual(['half']);
});

test.each([
  ['ends', (end: () => void) => end()],
  ['breaks', (_end: () => void, destroy: () => void) => destroy()],
])('takes a stream that %s before its end as lost', async (_how, stop) => {
  const script = chat((response) => {
    const send = beginEvents(response);
    send(textChunk('half'));
    setImmediate(() =>
      stop(
        () => response.end(),
        () => response.destroy(),
      ),
    );
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'peer-lost',
    message: expect.stringContaining('`skein up` runs there'),
  });
});

test('tells a coordinator that drops the connection from one that is not there', async () => {
  await using server = await startScriptedServer(chat((response) => response.destroy()));
  await using client = await connect(server);
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'peer-lost',
    message: expect.stringContaining('went away in the middle') as string,
  });
});

test('tells a prompt that is too long in terms of the prompt', async () => {
  const error = { message: 'the prompt has 9 MiB', type: 'invalid_request_error', code: 'request_too_large' };
  const script = chat((response) => response.writeHead(413).end(JSON.stringify({ error })));
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'request-too-large',
    message: 'the prompt has 9 MiB',
    retryable: false,
  });
});

test('says so when the coordinator is lost while it lists its models', async () => {
  const script: Script = {
    '/v1/models': (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.destroy());
    },
  };
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  await expect(client.models()).rejects.toMatchObject({
    code: 'peer-lost',
    message: expect.stringContaining('`skein up` runs there'),
  });
});

test.each(['break', 'abort', 'close'])('drops the connection at once on %s', async (how) => {
  const dropped = Promise.withResolvers<void>();
  const script = chat((response) => {
    void once(response, 'close').then(() => dropped.resolve());
    beginEvents(response)(textChunk('first'));
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  const controller = new AbortController();
  const generation = client.chat(question, { signal: controller.signal });
  const read = async () => {
    for await (const { text } of generation) {
      if (how === 'break') return text;
      if (how === 'abort') controller.abort();
      else await client.close();
    }
    return 'the end';
  };
  const outcome = await read().catch((error: unknown) => asSkeinError(error).code);
  await dropped.promise;
  expect(outcome).toBe(how === 'break' ? 'first' : 'aborted');
  await expect(generation.result()).rejects.toMatchObject({ code: 'aborted' });
});

test('gives up when no token comes in time', async () => {
  const script = chat((response) => void beginEvents(response));
  await using server = await startScriptedServer(script);
  await using client = await connect({ ...server, deadlines: { firstTokenMs: 20 } });
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'deadline-exceeded',
    message: expect.stringContaining('first token'),
  });
});

test('gives up when the tokens stop coming', async () => {
  const script = chat((response) => beginEvents(response)(textChunk('first')));
  await using server = await startScriptedServer(script);
  await using client = await connect({ ...server, deadlines: { gapMs: 20 } });
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'deadline-exceeded',
    message: expect.stringContaining('next token'),
  });
});

test('can be read once only', async () => {
  const script = chat((response) => {
    endChunks.forEach(beginEvents(response));
    response.end();
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  const generation = client.chat(question);
  await generation.result();
  await expect(generation[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'invalid-request' });
});

test('says how to start a coordinator where none answers', async () => {
  const { url } = await startScriptedServer({}).then(async (server) => {
    await server[Symbol.asyncDispose]();
    return server;
  });
  await expect(connect({ url })).rejects.toMatchObject({
    code: 'not-running',
    message: expect.stringContaining('skein up'),
  });
});

test('refuses what is not a URL', async () => {
  await expect(connect({ url: '127.0.0.1:7331' })).rejects.toMatchObject({ code: 'invalid-request' });
});

/** Chunks as a coordinator sends them to a client that can move: with the tokens, and the facts of the beginning. */
const movable = {
  start: { choices: [{ index: 0, delta: { content: '' } }], skein: { state: { promptHash: 'a'.repeat(64), maxTokens: 8, askedAt: 5, seed: 7 } } }, // prettier-ignore
  delta: (content: string, ...tokens: number[]) => ({ ...textChunk(content), skein: { tokens, mu: 1.5 } }),
};

test('takes an answer to another coordinator when its own goes away, with the tokens that have come', async () => {
  const asked: unknown[] = [];
  const breaking = chat((response, body) => {
    asked.push(body);
    const send = beginEvents(response);
    [movable.start, movable.delta('one ', 1), movable.delta('', 2)].forEach(send);
    response.write('', () => response.destroy());
  });
  const going = chat((response, body) => {
    asked.push(body);
    const send = beginEvents(response);
    [movable.start, movable.delta('two', 3), ...endChunks].forEach(send);
  });
  await using first = await startScriptedServer(breaking);
  await using second = await startScriptedServer(going);
  await using client = await connect({ url: [first.url, second.url] });
  const generation = client.chat({ ...question, temperature: 0.5 });
  const tokens: number[] = [];
  for await (const delta of generation) tokens.push(...(delta.tokens ?? []));
  expect(tokens).toEqual([1, 2, 3]);
  expect(await generation.result()).toMatchObject({ text: 'one two', finishReason: 'stop' });
  const resume = { promptHash: 'a'.repeat(64), askedAt: 5, tokens: [1, 2], emittedCharacters: 4, mu: 1.5 };
  expect(asked).toEqual([
    expect.not.objectContaining({ skein_resume: expect.anything() as unknown }),
    { ...(asked[0] as object), max_tokens: 8, seed: 7, skein_resume: resume },
  ]);
});

test('goes on at the same coordinator when that is there again, and as often as it takes', async () => {
  let requests = 0;
  const script = chat((response) => {
    requests += 1;
    const send = beginEvents(response);
    [movable.start, movable.delta(`${requests} `, requests)].forEach(send);
    if (requests === 4) endChunks.forEach(send);
    else response.write('', () => response.destroy());
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  expect((await client.chat(question).result()).text).toBe('1 2 3 4 ');
});

test('counts the failovers that each coordinator of an answer has told of, once', async () => {
  let requests = 0;
  const told = (token: number, failovers: number) => ({
    ...textChunk('x'),
    skein: { tokens: [token], failovers, pauseMs: 10 * failovers },
  });
  const last = { prompt_tokens: 3, completion_tokens: 4, failovers: 1, pauseMs: 5 };
  const script = chat((response) => {
    requests += 1;
    const send = beginEvents(response);
    [movable.start, told(1, 1), told(2, 2)].forEach(send);
    if (requests === 3) [{ choices: [{ delta: {}, finish_reason: 'stop' }], usage: last }, '[DONE]'].forEach(send);
    else response.write('', () => response.destroy());
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  expect((await client.chat(question).result()).usage).toMatchObject({ failovers: 5, pauseMs: 45 });
});

test('asks the next coordinator when the first is not there', async () => {
  const gone = await startScriptedServer({});
  await gone[Symbol.asyncDispose]();
  await using server = await startScriptedServer(chat((response) => endChunks.forEach(beginEvents(response))));
  await using client = await connect({ url: [gone.url, server.url] });
  expect((await client.chat(question).result()).finishReason).toBe('stop');
  await expect(connect({ url: [gone.url, gone.url] })).rejects.toMatchObject({ code: 'not-running' });
});

test('says how much was delivered of an answer that cannot go on', async () => {
  let requests = 0;
  const error = { message: 'the context is smaller here', type: 'invalid_request_error', code: 'invalid_request' };
  const script = chat((response) => {
    requests += 1;
    if (requests === 2) return void response.writeHead(400).end(JSON.stringify({ error }));
    const send = beginEvents(response);
    [movable.start, movable.delta('one ', 1), movable.delta('two', 2)].forEach(send);
    response.write('', () => response.destroy());
  });
  await using server = await startScriptedServer(script);
  await using client = await connect(server);
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'invalid-request',
    message: error.message,
    details: { deliveredTokens: 2 },
  });
});

test('does not ask again for an answer whose text came without tokens: it might repeat some', async () => {
  let requests = 0;
  const script = chat((response) => {
    requests += 1;
    beginEvents(response)(textChunk('one'));
    response.write('', () => response.destroy());
  });
  await using server = await startScriptedServer(script);
  await using client = await connect({ url: [server.url, server.url] });
  await expect(client.chat(question).result()).rejects.toMatchObject({ code: 'peer-lost' });
  expect(requests).toBe(1);
});
