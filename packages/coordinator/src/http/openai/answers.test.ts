import { SkeinError } from '@skein/protocol';
import type { GenerationUpdate } from '@skein/serving';
import { describe, expect, it, vi } from 'vitest';

import { ManualTimers } from '../../testing/manual-timers.ts';
import { generationEnd, post, sayPieces, sentEvents, servedModel, testApp } from '../../testing/test-app.ts';

const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }] };
const plain = { model: 'org/tiny', prompt: 'Once' };
const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 };
const skein = { deployment: 'deployment-1', lead: 'lead-peer', timings: { firstTokenMs: 12, decodeMs: 34 } };
const identity = { created: 1_700_000_000, model: 'org/tiny' };

async function* failAfter(text: string, error: Error): AsyncGenerator<GenerationUpdate> {
  if (text !== '') yield { type: 'text-delta', text, tokens: [1] };
  throw error;
}

async function* cutOff(): AsyncGenerator<GenerationUpdate> {
  yield { type: 'text-delta', text: 'Hel', tokens: [1] };
}

describe('an answer in one piece', () => {
  it('is a chat completion', async () => {
    const response = await post(testApp().app, '/v1/chat/completions', chat);
    expect(response.headers.get('content-type')).toMatch('application/json');
    expect(await response.json()).toEqual({
      id: 'chatcmpl-id1',
      object: 'chat.completion',
      ...identity,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage,
      skein,
    });
  });

  it('is a text completion', async () => {
    const response = await post(testApp().app, '/v1/completions', plain);
    expect(await response.json()).toEqual({
      id: 'cmpl-id1',
      object: 'text_completion',
      ...identity,
      choices: [{ index: 0, text: 'Hello', logprobs: null, finish_reason: 'stop' }],
      usage,
      skein,
    });
  });
});

describe('a streamed answer', () => {
  it('is a role, text as it comes, a finish reason and [DONE]', async () => {
    const response = await post(testApp().app, '/v1/chat/completions', { ...chat, stream: true });
    expect(response.headers.get('content-type')).toMatch('text/event-stream');
    const chunk = { id: 'chatcmpl-id1', object: 'chat.completion.chunk', ...identity };
    const choice = { index: 0, logprobs: null, finish_reason: null };
    expect(await sentEvents(response)).toEqual([
      { ...chunk, choices: [{ ...choice, delta: { role: 'assistant', content: '', refusal: null } }] },
      { ...chunk, choices: [{ ...choice, delta: { content: 'Hel' } }] },
      { ...chunk, choices: [{ ...choice, delta: { content: 'lo' } }] },
      { ...chunk, choices: [{ ...choice, delta: {}, finish_reason: 'stop' }], skein },
      '[DONE]',
    ]);
  });

  it('ends with the usage when asked', async () => {
    const body = { ...plain, stream: true, stream_options: { include_usage: true } };
    const events = await sentEvents(await post(testApp().app, '/v1/completions', body));
    expect(events).toMatchObject([
      { choices: [{ text: 'Hel' }], usage: null },
      { choices: [{ text: 'lo' }], usage: null },
      { choices: [{ text: '', finish_reason: 'stop' }], usage: null },
      { choices: [], usage },
      '[DONE]',
    ]);
  });

  it('ends at once when there is no text', async () => {
    const { app } = testApp({ events: () => sayPieces() });
    expect(await sentEvents(await post(app, '/v1/completions', { ...plain, stream: true }))).toHaveLength(2);
  });

  it('tells of an error in mid-stream as its last event', async () => {
    const { app } = testApp({ events: () => failAfter('Hel', new SkeinError('stage-lost', 'a stage went away')) });
    const events = await sentEvents(await post(app, '/v1/completions', { ...plain, stream: true }));
    expect(events).toMatchObject([
      { choices: [{ text: 'Hel' }] },
      { error: { message: 'a stage went away', type: 'server_error', param: null, code: 'stage_lost' } },
    ]);
  });

  it('says in that event how much was delivered, as programs read it', async () => {
    const details = { deliveredTokens: 3, deployment: 'deployment-1' };
    const { app } = testApp({ events: () => failAfter('Hel', new SkeinError('stage-lost', 'went away', { details })) });
    const events = await sentEvents(await post(app, '/v1/completions', { ...plain, stream: true }));
    const error = { message: 'went away', type: 'server_error', param: null, code: 'stage_lost', deliveredTokens: 3 };
    expect(events.at(-1)).toEqual({ error });
  });

  it('has a proper status for an error before the first text', async () => {
    const { app } = testApp({ events: () => failAfter('', new SkeinError('context-length-exceeded', 'too long')) });
    const response = await post(app, '/v1/completions', { ...plain, stream: true });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'context_length_exceeded' } });
  });

  it('says that an answer was cut off when the events just stop', async () => {
    const { app } = testApp({ events: cutOff });
    const response = await post(app, '/v1/completions', plain);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'peer_lost' } });
  });

  it('aborts the generation and leaves its events when the client goes away', async () => {
    let left = false;
    async function* forEver(): AsyncGenerator<GenerationUpdate> {
      try {
        for (;;) yield { type: 'text-delta', text: 'more ', tokens: [1] };
      } finally {
        left = true;
      }
    }
    const { app, received } = testApp({ events: forEver });
    const response = await post(app, '/v1/chat/completions', { ...chat, stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(received[0]?.signal.aborted).toBe(true);
    await vi.waitFor(() => expect(left).toBe(true));
  });

  it('aborts a generation that has not said anything yet when the client goes away', async () => {
    const started = Promise.withResolvers<void>();
    async function* silent(signal: AbortSignal): AsyncGenerator<GenerationUpdate> {
      started.resolve();
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('gone'))));
      yield generationEnd;
    }
    const { app, received } = testApp({ events: silent });
    const client = new AbortController();
    const request = new Request('http://localhost/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...chat, stream: true }),
      signal: client.signal,
    });
    const response = app.request(request);
    await started.promise;
    client.abort();
    await response;
    expect(received[0]?.signal.aborted).toBe(true);
  });
});

describe('several choices', () => {
  const end = (completionTokens: number): GenerationUpdate => ({
    ...generationEnd,
    usage: { promptTokens: 7, completionTokens, cachedTokens: 5, draftedTokens: 3, acceptedTokens: 2 },
  });
  const said = [['Yes'], ['N', 'o']];
  async function* say(_: AbortSignal, choice: number): AsyncGenerator<GenerationUpdate> {
    for (const text of said[choice] ?? []) yield { type: 'text-delta', text, tokens: [1] };
    yield end(said[choice]?.length ?? 0);
  }
  const wholeUsage = {
    prompt_tokens: 7,
    completion_tokens: 3,
    total_tokens: 10,
    prompt_tokens_details: { cached_tokens: 5 },
    completion_tokens_details: { accepted_prediction_tokens: 4, rejected_prediction_tokens: 2 },
  };

  it('are one answer whose usage counts the prompt once', async () => {
    const response = await post(testApp({ events: say }).app, '/v1/chat/completions', { ...chat, n: 2 });
    expect(await response.json()).toMatchObject({
      choices: [
        { index: 0, message: { content: 'Yes' }, finish_reason: 'stop' },
        { index: 1, message: { content: 'No' }, finish_reason: 'stop' },
      ],
      usage: wholeUsage,
    });
  });

  it('are streamed side by side, each with its opening and its end', async () => {
    const body = { ...chat, n: 2, stream: true, stream_options: { include_usage: true } };
    const events = await sentEvents(await post(testApp({ events: say }).app, '/v1/chat/completions', body));
    const chunks = events.slice(0, -2) as {
      choices: { index: number; delta: object; finish_reason: string | null }[];
    }[];
    const ofChoice = (wanted: number) =>
      chunks.flatMap(({ choices }) => choices).filter(({ index }) => index === wanted).map(({ delta }) => delta); // prettier-ignore
    const opening = { role: 'assistant', content: '', refusal: null };
    expect(ofChoice(0)).toEqual([opening, { content: 'Yes' }, {}]);
    expect(ofChoice(1)).toEqual([opening, { content: 'N' }, { content: 'o' }, {}]);
    expect(events.at(-2)).toMatchObject({ choices: [], usage: wholeUsage });
    expect(events.at(-1)).toBe('[DONE]');
  });

  /** One choice says two things and ends, another breaks off after the first has said one. */
  function breaking() {
    const broken = Promise.withResolvers<void>();
    async function* one(signal: AbortSignal, choice: number): AsyncGenerator<GenerationUpdate> {
      yield { type: 'text-delta', text: `${choice} begins`, tokens: [1] };
      if (choice === 1) {
        broken.resolve();
        throw new SkeinError('stage-lost', 'a stage went away');
      }
      await broken.promise;
      await new Promise(setImmediate);
      signal.throwIfAborted();
      yield { type: 'text-delta', text: `${choice} ends`, tokens: [1] };
      yield end(2);
    }
    return testApp({ events: one });
  }

  it('go on to their ends when one of a stream fails, and then the error is the last event', async () => {
    const { app, received } = breaking();
    const events = await sentEvents(await post(app, '/v1/completions', { ...plain, n: 3, stream: true }));
    const chunks = events.slice(0, -1) as {
      choices: { index: number; text: string; finish_reason: string | null }[];
    }[];
    const choices = chunks.flatMap((chunk) => chunk.choices);
    for (const index of [0, 2]) {
      const ofChoice = choices.filter((choice) => choice.index === index);
      expect(ofChoice.map(({ text }) => text)).toEqual([`${index} begins`, `${index} ends`, '']);
      expect(ofChoice.at(-1)?.finish_reason).toBe('stop');
    }
    expect(choices.filter(({ index }) => index === 1)).toMatchObject([{ text: '1 begins', finish_reason: null }]);
    expect(events.at(-1)).toMatchObject({ error: { code: 'stage_lost' } });
    expect(received[0]?.signal.aborted).toBe(false);
  });

  it('are no answer in one piece when one fails, and the others are ended', async () => {
    const { app, received } = breaking();
    const response = await post(app, '/v1/completions', { ...plain, n: 3 });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'stage_lost' } });
    expect(received[0]?.signal.aborted).toBe(true);
  });
});

describe('the headers of a streamed answer', () => {
  const begin: GenerationUpdate = {
    type: 'generation-begin',
    promptTokens: 7,
    promptHash: 'a'.repeat(64),
    maxTokens: 16,
  };

  /** Events that wait for `go` after what they yield first. */
  function waiting(first: readonly GenerationUpdate[], fails?: SkeinError) {
    const go = Promise.withResolvers<void>();
    const timers = new ManualTimers();
    async function* events(): AsyncGenerator<GenerationUpdate> {
      yield* first;
      await go.promise;
      if (fails !== undefined) throw fails;
      yield* sayPieces('Hi');
    }
    return { go, timers, ...testApp({ events, schedule: timers.schedule }) };
  }

  it('are out when a replica has begun, long before its first text', async () => {
    const { app, go } = waiting([begin]);
    const response = await post(app, '/v1/completions', { ...plain, stream: true });
    expect(response.status).toBe(200);
    go.resolve();
    expect(await sentEvents(response)).toHaveLength(3);
  });

  it('are out after ten seconds without a replica, as while a model is loaded', async () => {
    const { app, timers, go, received } = waiting([]);
    const response = post(app, '/v1/completions', { ...plain, stream: true });
    await vi.waitFor(() => expect(received).toHaveLength(1));
    let isOut = false;
    void response.then(() => (isOut = true));
    timers.advance(9999);
    await new Promise(setImmediate);
    expect(isOut).toBe(false);
    timers.advance(1);
    expect((await response).status).toBe(200);
    go.resolve();
    expect(await sentEvents(await response)).toHaveLength(3);
    // The stream is kept for two minutes, and nothing else waits.
    timers.advance(120_000);
    expect(timers.count).toBe(0);
  });

  it('wait for an error that comes before, which keeps its status; later ones are an event', async () => {
    const refused = waiting([], new SkeinError('overloaded', 'the queue is full'));
    refused.go.resolve();
    expect((await post(refused.app, '/v1/completions', { ...plain, stream: true })).status).toBe(429);
    const lost = waiting([begin], new SkeinError('stage-lost', 'a stage went away'));
    lost.go.resolve();
    const response = await post(lost.app, '/v1/completions', { ...plain, stream: true });
    expect(response.status).toBe(200);
    expect(await sentEvents(response)).toMatchObject([{ error: { code: 'stage_lost' } }]);
  });

  it('are followed by comments until there is something to say', async () => {
    const { app, timers, go } = waiting([begin]);
    const response = await post(app, '/v1/completions', { ...plain, stream: true });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let time = 0; time < 3; time += 1) {
      timers.advance(5000);
      expect((await reader?.read())?.value).toBe(': keep-alive\n\n');
    }
    go.resolve();
    expect((await reader?.read())?.value).toMatch(/^id: cmpl-id1:1:.*\ndata: /);
    await reader?.cancel();
  });

  it('wait for the whole of an answer in one piece', async () => {
    const { app, timers, go, received } = waiting([begin]);
    const response = post(app, '/v1/completions', plain);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    expect(timers.count).toBe(0);
    go.resolve();
    expect((await response).headers.get('content-type')).toMatch('application/json');
  });
});

describe('log-probabilities', () => {
  const utf8 = (text: string) => [...new TextEncoder().encode(text)];
  const [euro = 0, ...rest] = utf8('€');
  const token = (bytes: number[], logprob: number) => ({ token: 1, bytes, logprob });
  async function* say(): AsyncGenerator<GenerationUpdate> {
    const hi = token(utf8('Hi'), -0.5);
    yield { type: 'text-delta', text: 'Hi', tokens: [1], logprobs: [{ ...hi, top: [hi, token(utf8('Ho'), -2)] }] };
    // Half a character: no text yet.
    yield { type: 'text-delta', text: '', tokens: [1], logprobs: [{ ...token([euro], -1), top: [] }] };
    yield { type: 'text-delta', text: '€', tokens: [1], logprobs: [{ ...token(rest, -3), top: [] }] };
    yield generationEnd;
  }
  const content = [
    {
      token: 'Hi',
      logprob: -0.5,
      bytes: utf8('Hi'),
      top_logprobs: [
        { token: 'Hi', logprob: -0.5, bytes: utf8('Hi') },
        { token: 'Ho', logprob: -2, bytes: utf8('Ho') },
      ],
    },
    { token: '\uFFFD', logprob: -1, bytes: [euro], top_logprobs: [] },
    { token: '\uFFFD\uFFFD', logprob: -3, bytes: rest, top_logprobs: [] },
  ];
  const asked = { logprobs: true, top_logprobs: 2 };

  it('are listed per token in a chat', async () => {
    const response = await post(testApp({ events: say }).app, '/v1/chat/completions', { ...chat, ...asked });
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: 'Hi€' }, logprobs: { content, refusal: null } }],
    });
  });

  it('come with the chunks of a streamed chat', async () => {
    const body = { ...chat, ...asked, stream: true };
    const events = await sentEvents(await post(testApp({ events: say }).app, '/v1/chat/completions', body));
    const choices = (events.slice(1, -2) as { choices: object[] }[]).flatMap((chunk) => chunk.choices);
    expect(choices).toEqual(
      ['Hi', '', '€'].map((text, index) => ({
        index: 0,
        delta: { content: text },
        logprobs: { content: [content[index]], refusal: null },
        finish_reason: null,
      })),
    );
  });

  it.each([true, false])('are lists side by side in a text completion: streamed %s', async (stream) => {
    const { app } = testApp({ events: say });
    const response = await post(app, '/v1/completions', { ...plain, logprobs: 2, stream });
    const parts = stream ? (await sentEvents(response)).slice(0, -2) : [await response.json()];
    type Lists = Record<'tokens' | 'token_logprobs' | 'top_logprobs' | 'text_offset', unknown[]>;
    const lists = (parts as { choices: { logprobs: Lists }[] }[]).flatMap(({ choices }) => choices);
    const joined = (name: keyof Lists) => lists.flatMap(({ logprobs }) => logprobs[name]);
    expect(joined('tokens')).toEqual(['Hi', '\uFFFD', '\uFFFD\uFFFD']);
    expect(joined('token_logprobs')).toEqual([-0.5, -1, -3]);
    expect(joined('top_logprobs')).toEqual([{ Hi: -0.5, Ho: -2 }, { '\uFFFD': -1 }, { '\uFFFD\uFFFD': -3 }]);
    expect(joined('text_offset')).toEqual([0, 2, 2]);
  });
});

describe('an error', () => {
  it('has the status of its code', async () => {
    const refusal = new SkeinError('model-not-found', 'no peer holds it', { details: { param: 'model' } });
    const response = await post(testApp({ refusal }).app, '/v1/chat/completions', chat);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        message: 'no peer holds it',
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found',
      },
    });
  });

  it('of a full queue says when to try again', async () => {
    const refusal = new SkeinError('overloaded', 'the queue is full');
    const response = await post(testApp({ refusal }).app, '/v1/chat/completions', chat);
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('1');
  });

  it.each([
    ['stage-lost', {}, '2'],
    ['no-peers', {}, '10'],
    ['no-peers', { retryAfterSeconds: 1.5 }, '2'],
    ['deadline-exceeded', {}, null],
  ] as const)('of a kind that passes says when to try again: %s %o', async (code, details, seconds) => {
    const refusal = new SkeinError(code, 'not now', { details });
    const response = await post(testApp({ refusal }).app, '/v1/chat/completions', chat);
    expect(response.headers.get('retry-after')).toBe(seconds);
  });

  it('that is not ours keeps its text to itself', async () => {
    const response = await post(testApp({ refusal: new TypeError('/root/secret') }).app, '/v1/completions', plain);
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(text).toContain('internal');
    expect(text).not.toContain('secret');
  });
});

describe('the list of models', () => {
  const model = {
    id: 'org/tiny',
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'skein',
    skein: { sha256: servedModel.model, name: 'org/tiny', bytes: 1234, deployed: true },
  };

  it('holds what is served', async () => {
    const response = await testApp().app.request('/v1/models');
    expect(await response.json()).toEqual({ object: 'list', data: [model] });
  });

  it.each(['org/tiny', 'org%2Ftiny', 'Org/Tiny', 'tiny', servedModel.model])('finds one by %s', async (id) => {
    const response = await testApp().app.request(`/v1/models/${id}`);
    expect(await response.json()).toEqual(model);
  });

  it.each(['/v1/models/huge', '/v1/chat/completions'])(
    'answers 503 while members may be on their way: %s',
    async (path) => {
      const { app } = testApp({ absent: { lost: [], isGathering: true } });
      const body = { ...chat, model: 'huge' };
      const response = path === '/v1/models/huge' ? await app.request(path) : await post(app, path, body);
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toBe('2');
      expect(await response.json()).toMatchObject({ error: { code: 'no_peers', param: 'model' } });
    },
  );

  it('tells models of one name apart by their hashes', async () => {
    const namesake = { ...servedModel, model: 'cd'.repeat(32) };
    const models = [servedModel, namesake].map((model) => ({ ...model, id: model.model }));
    const { app, received } = testApp({ models });
    const list = (await (await app.request('/v1/models')).json()) as {
      data: { id: string; skein: { name: string } }[];
    };
    expect(list.data.map(({ id }) => id)).toEqual(models.map(({ model }) => model));
    expect(list.data.map(({ skein }) => skein.name)).toEqual(['org/tiny', 'org/tiny']);
    expect((await app.request('/v1/models/org/tiny')).status).toBe(400);
    const response = await post(app, '/v1/completions', plain);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { message: string } }).error.message).toContain(namesake.model);
    await post(app, '/v1/completions', { ...plain, model: namesake.model });
    expect(received.map(({ model }) => model)).toEqual([namesake.model]);
  });

  it('answers 404 for one that is not there', async () => {
    const response = await testApp().app.request('/v1/models/huge');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
  });
});
