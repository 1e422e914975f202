import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { silentLogger, type Logger } from '@skein/protocol';
import type { GenerationUpdate } from '@skein/serving';
import { describe, expect, it } from 'vitest';

import { generationEnd, sayPieces, testApp, type TestAppOptions } from '../testing/test-app.ts';
import { HttpServer } from './server.ts';

/** A server of the app over TCP. */
async function serve(options: TestAppOptions = {}) {
  const { app, received } = testApp(options);
  const server = new HttpServer(app, { host: '127.0.0.1', port: 0 });
  const url = await server.start();
  return { url, port: Number(new URL(url).port), received, [Symbol.asyncDispose]: async () => await server.stop() };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

interface RawRequest {
  readonly body?: string;
  /** Length in the headers. Default: its own. */
  readonly length?: number;
  readonly version?: '1.0' | '1.1';
}

function completion({ body = '{"model":"org/tiny","prompt":"Once"}', ...more }: RawRequest = {}): string {
  const { length = body.length, version = '1.1' } = more;
  return `POST /v1/completions HTTP/${version}\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;
}

async function textOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  await once(socket, 'end');
  return text;
}

/** A generation that says nothing until it is told to, or nobody waits for it any more. */
function heldBack() {
  const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const say = Promise.withResolvers<void>();
  async function* events(signal: AbortSignal): AsyncGenerator<GenerationUpdate> {
    begun.resolve();
    const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    await Promise.race([say.promise, aborted]).finally(ended.resolve);
    yield { type: 'text-delta', text: 'Hello', tokens: [1] };
    yield generationEnd;
  }
  return { events, begun: begun.promise, ended: ended.promise, say: say.resolve };
}

describe('a client that closes its half of the connection', () => {
  it('gets its answer all the same', async () => {
    const generation = heldBack();
    await using server = await serve(generation);
    const client = await dial(server.port);
    const answer = textOf(client);
    client.end(completion());
    await generation.begun;
    // An interim answer shows that the server has noticed.
    await once(client, 'data');
    generation.say();
    expect(await answer).toMatch(/HTTP\/1\.1 200 OK\r\n.*"text":"Hello"/s);
  });

  it('gets a stream to its end', async () => {
    await using server = await serve({ events: () => sayPieces('Hel', 'lo') });
    const client = await dial(server.port);
    client.end(completion({ body: '{"model":"org/tiny","prompt":"Once","stream":true}' }));
    expect(await textOf(client)).toMatch(/"text":"Hel".*"text":"lo".*\[DONE\]/s);
  });

  it('is given up when it is gone in the middle of a stream that says nothing', async () => {
    const ended = Promise.withResolvers<void>();
    async function* events(signal: AbortSignal): AsyncGenerator<GenerationUpdate> {
      yield { type: 'text-delta', text: 'Hello', tokens: [1] };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      ended.resolve();
    }
    await using server = await serve({ events });
    const client = await dial(server.port);
    client.write(completion({ body: '{"model":"org/tiny","prompt":"Once","stream":true}' }));
    await once(client, 'data');
    client.destroy();
    await ended.promise;
    expect(server.received[0]?.signal.aborted).toBe(true);
  });

  it.each(['1.1', '1.0'] as const)('is given up when it is gone, with HTTP %s', async (version) => {
    const generation = heldBack();
    await using server = await serve(generation);
    const client = await dial(server.port);
    client.write(completion({ version }));
    await generation.begun;
    client.destroy();
    await generation.ended;
    expect(server.received[0]?.signal.aborted).toBe(true);
  });
});

describe('a client that sends requests before earlier ones are answered', () => {
  it('gets all answers in order, and nothing warns of a leak', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const generation = heldBack();
    await using server = await serve(generation);
    const client = await dial(server.port);
    const answer = textOf(client);
    client.end(completion().repeat(20));
    await expect.poll(() => server.received.length).toBe(20);
    generation.say();
    expect((await answer).match(/"text":"Hello"/g)).toHaveLength(20);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('is given up with all of them when it is gone', async () => {
    const generation = heldBack();
    await using server = await serve(generation);
    const client = await dial(server.port);
    client.write(completion().repeat(3));
    await expect.poll(() => server.received.length).toBe(3);
    client.destroy();
    await expect.poll(() => server.received.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
  });
});

it('takes a client that leaves during an upload for one that left, not for a fault', async () => {
  const seen = Promise.withResolvers<{ level: string; code: unknown }>();
  const at = (level: string) => (fields: object) =>
    seen.resolve({ level, code: 'code' in fields ? fields.code : undefined });
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  await using server = await serve({ logger });
  const client = await dial(server.port);
  client.write(completion({ length: 1000 }), () => client.destroy());
  expect(await seen.promise).toEqual({ level: 'debug', code: 'aborted' });
});

it('answers one that is still sending a body that is too large', async () => {
  await using server = await serve();
  const client = await dial(server.port);
  client.write(completion({ body: '{', length: 17 * 1024 * 1024 }));
  const [answer] = (await once(client, 'data')) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 413 .*the request body is larger than 16\.0 MiB/s);
  client.destroy();
});

it('refuses a body in chunks of one byte before it is complete', async () => {
  await using server = await serve();
  const client = await dial(server.port);
  const head =
    'POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
  client.write(`${head}${'1\r\n \r\n'.repeat(100_000)}`);
  const [answer] = (await once(client, 'data')) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 400 .*chunks of a few bytes; send larger ones/s);
  client.destroy();
});

it('names each request in its answer, whatever that is, and in the log', async () => {
  const logged: object[] = [];
  const logger: Logger = { ...silentLogger, debug: (fields) => logged.push(fields) };
  await using server = await serve({ logger });
  const post = async (body: object) =>
    await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const request = { model: 'org/tiny', prompt: 'Once' };
  const answer = await post(request);
  const { id } = (await answer.json()) as { id: string };
  expect(answer.headers.get('x-request-id')).toBe(id);
  const stream = await post({ ...request, stream: true });
  expect(await stream.text()).toContain(`"id":"${stream.headers.get('x-request-id')}"`);
  const refused = await post({ ...request, model: 'unheard-of' });
  expect(refused.status).toBe(404);
  expect(logged).toEqual([
    expect.objectContaining({ request: refused.headers.get('x-request-id'), code: 'model-not-found' }),
  ]);
  expect(refused.headers.get('x-request-id')).toBe(id);
});

it('keeps an idle connection for longer than the pools of clients do', async () => {
  await using server = await serve();
  const response = await fetch(`${server.url}/health`);
  const [, seconds] = /timeout=(\d+)/.exec(response.headers.get('keep-alive') ?? '') ?? [];
  expect(Number(seconds)).toBeGreaterThanOrEqual(75);
});
