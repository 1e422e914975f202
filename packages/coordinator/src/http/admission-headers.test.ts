import type { GenerationUpdate } from '@skein/serving';
import { describe, expect, it } from 'vitest';

import { ManualTimers } from '../testing/manual-timers.ts';
import { generationEnd, post, servedModel, testApp, type TestAppOptions } from '../testing/test-app.ts';
import { HttpServer } from './server.ts';

const plain = { model: 'org/tiny', prompt: 'Once' };
const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }] };
const queueHeaders = ['x-skein-queue-position', 'x-skein-expected-wait-ms'];

/** A server over a replica that answers one request at a time, each to its end when it is told to. */
async function serve(options: TestAppOptions = {}) {
  const timers = new ManualTimers();
  const answers: PromiseWithResolvers<void>[] = [];
  async function* events(signal: AbortSignal): AsyncGenerator<GenerationUpdate> {
    const answer = Promise.withResolvers<void>();
    answers.push(answer);
    yield { type: 'generation-begin', promptTokens: 1, promptHash: 'a'.repeat(64), maxTokens: 9 };
    yield { type: 'text-delta', text: 'Once', tokens: [1] };
    signal.addEventListener('abort', () => answer.reject(signal.reason));
    await answer.promise;
    yield { type: 'text-delta', text: 'upon', tokens: [1] };
    yield generationEnd;
  }
  const { app, admission } = testApp({
    events,
    sequences: [1],
    queue: { aheadPerReplica: 0, waitingPerSequence: 4 },
    schedule: timers.schedule,
    nowMs: () => timers.nowMs,
    ...options,
  });
  const server = new HttpServer(app, { host: '127.0.0.1', port: 0 });
  const url = await server.start();
  return {
    timers,
    answers,
    async ask({ headers = {}, body = plain, signal }: Asked = {}) {
      const path = 'prompt' in body ? '/v1/completions' : '/v1/chat/completions';
      const content = { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
      return await fetch(`${url}${path}`, { method: 'POST', ...content, ...(signal && { signal }) });
    },
    /** Resolves when so many requests have their places and so many wait. */
    async until(admitted: number, waiting: number) {
      await expect.poll(() => admission.status()).toMatchObject([{ model: servedModel.model, admitted, waiting }]);
    },
    [Symbol.asyncDispose]: async () => await server.stop(),
  };
}

interface Asked {
  readonly headers?: Record<string, string>;
  readonly body?: object;
  readonly signal?: AbortSignal;
}

it('tells each client its place in the queue and its expected wait', async () => {
  await using served = await serve();
  const first = served.ask();
  await served.until(1, 0);
  const second = served.ask();
  await served.until(1, 1);
  served.timers.advance(2000);
  const third = served.ask();
  await served.until(1, 2);
  for (let index = 0; index < 3; index += 1) {
    await expect.poll(() => served.answers.length).toBe(index + 1);
    served.answers[index]?.resolve();
  }
  const headers = (await Promise.all([first, second, third])).map((one) =>
    queueHeaders.map((name) => one.headers.get(name)),
  );
  expect(headers).toEqual([
    ['0', '0'],
    ['1', null],
    // The one that runs has taken 2 s already, and nobody else was measured.
    ['2', '4000'],
  ]);
});

it('tells a stream that asks for it how its wait goes', async () => {
  await using served = await serve();
  const first = served.ask();
  await served.until(1, 0);
  const second = served.ask();
  await served.until(1, 1);
  const headers = { 'x-skein-queue-events': '1' };
  const streamed = await served.ask({ headers, body: { ...plain, stream: true } });
  const reader = streamed.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe(': skein-queue {"position":2}\n\n');
  served.answers[0]?.resolve();
  await first;
  served.timers.advance(1000);
  expect((await reader?.read())?.value).toMatch(/^: skein-queue {"position":1,"expectedWaitMs":\d+}\n\n$/);
  await expect.poll(() => served.answers.length).toBe(2);
  served.answers[1]?.resolve();
  await second;
  expect((await reader?.read())?.value).toMatch(/^: skein-queue {"position":0,"expectedWaitMs":0}\n\n/);
  await reader?.cancel();
});

it('refuses at once when too many wait, and says when to come again', async () => {
  await using served = await serve();
  const asked = [served.ask()];
  await served.until(1, 0);
  for (let waiting = 1; waiting <= 3; waiting += 1) {
    asked.push(served.ask());
    await served.until(1, waiting);
  }
  served.timers.advance(7500);
  const refused = await served.ask();
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '8']);
  expect(await refused.json()).toMatchObject({ error: { code: 'overloaded', type: 'rate_limit_error' } });
  for (let index = 0; index < 4; index += 1) {
    await expect.poll(() => served.answers.length).toBe(index + 1);
    served.answers[index]?.resolve();
  }
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

it('drops a request whose client leaves while it waits', async () => {
  await using served = await serve();
  const first = served.ask();
  await served.until(1, 0);
  const left = new AbortController();
  const gone = served.ask({ signal: left.signal });
  gone.catch(() => undefined);
  const streamed = served.ask({ signal: left.signal, body: { ...plain, stream: true } });
  streamed.catch(() => undefined);
  await served.until(1, 2);
  left.abort();
  await served.until(1, 0);
  served.answers[0]?.resolve();
  expect((await first).status).toBe(200);
  expect(served.answers).toHaveLength(1);
});

it.each([
  { by: 'its header', headers: { 'x-skein-priority': 'batch' }, body: chat },
  { by: "OpenAI's cheap tier", headers: {}, body: { ...chat, service_tier: 'flex' } },
])('lets interactive requests go before a batch, which is one by $by', async ({ headers, body }) => {
  await using served = await serve();
  const running = served.ask();
  await served.until(1, 0);
  const batch = served.ask({ headers, body });
  await served.until(1, 1);
  const interactive = served.ask({
    headers: { 'x-skein-priority': 'interactive' },
    body: { ...chat, service_tier: 'flex' },
  });
  await served.until(1, 2);
  const order: string[] = [];
  void batch.then(() => order.push('batch'));
  void interactive.then(() => order.push('interactive'));
  served.answers[0]?.resolve();
  await running;
  for (let index = 1; index < 3; index += 1) {
    await expect.poll(() => served.answers.length).toBe(index + 1);
    served.answers[index]?.resolve();
    await expect.poll(() => order.length).toBe(index);
  }
  expect(order).toEqual(['interactive', 'batch']);
});

it('lets the rest of a stream whose connection broke go before others', async () => {
  await using served = await serve();
  const body = { ...plain, stream: true };
  const reader = (await served.ask({ body })).body?.pipeThrough(new TextDecoderStream()).getReader();
  const [, last = ''] = /^id: (.*)$/m.exec((await reader?.read())?.value ?? '') ?? [];
  const first = served.ask();
  await served.until(1, 1);
  await reader?.cancel();
  await served.until(1, 0);
  const second = served.ask();
  await served.until(1, 1);
  const continued = served.ask({ headers: { 'last-event-id': last }, body });
  await served.until(1, 2);
  served.answers[1]?.resolve();
  await first;
  await expect.poll(() => served.answers.length).toBe(3);
  served.answers[2]?.resolve();
  expect(await (await continued).text()).toContain('[DONE]');
  await expect.poll(() => served.answers.length).toBe(4);
  served.answers[3]?.resolve();
  expect((await second).status).toBe(200);
});

describe('a deadline', () => {
  const headers = { 'x-skein-deadline-ms': '5000' };

  it('ends an answer that is not complete by then, waiting or not', async () => {
    await using served = await serve();
    const running = served.ask({ headers });
    await served.until(1, 0);
    const waiting = served.ask({ headers, body: { ...plain, stream: true } });
    await served.until(1, 1);
    served.timers.advance(5000);
    for (const response of [await running, await waiting]) {
      expect(response.status).toBe(504);
      expect(await response.json()).toMatchObject({ error: { code: 'deadline_exceeded' } });
    }
    await expect.poll(() => served.timers.count).toBe(0);
  });

  it('is refused at once when the wait would be longer', async () => {
    await using served = await serve();
    const running = served.ask();
    await served.until(1, 0);
    served.timers.advance(8000);
    const refused = await served.ask({ headers });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '11']);
    served.answers[0]?.resolve();
    await running;
  });
});

it.each([
  ['x-skein-priority', 'urgent', 'interactive or batch'],
  ['x-skein-deadline-ms', '0', 'from 1 to 86400000'],
  ['x-skein-deadline-ms', '1e3', 'from 1 to 86400000'],
  ['x-skein-deadline-ms', '99999999', 'from 1 to 86400000'],
  ['x-skein-queue-events', 'yes', '0 or 1'],
])('explains a header %s: %s', async (name, value, expected) => {
  const response = await post(testApp().app, '/v1/completions', plain, { [name]: value });
  expect(response.status).toBe(400);
  const { error } = (await response.json()) as { error: { message: string } };
  expect(error.message).toContain(expected);
});
