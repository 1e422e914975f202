import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import type { AdminHandlers } from '@skein/coordinator';
import { adminRoutes, encodeFrame, SkeinError } from '@skein/protocol';
import { expect, onTestFinished, test, vi } from 'vitest';

import { exampleStatus, temporaryPlace, testComponents } from '../testing/test-daemon.ts';
import { askDaemon, askStatus, openLocalCoordinator, stopDaemon } from './control-client.ts';
import { openControlServer } from './control-server.ts';

const administration: Partial<AdminHandlers<'local'>> = {
  daemonStatus: () => exampleStatus,
  invite: ({ uses }) => ({ invite: `skein1-for-${uses}` }),
  revoke: ({ peer }) => {
    throw new SkeinError('not-found', `${peer} is no member`);
  },
};
const components = testComponents(administration);

/** The beginning of an answer that goes on. */
function eventStream(event: object): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Stands for a daemon that hangs: accepts connections, answers with these bytes or not at all, and counts. */
async function startSilentDaemon(path: string, answer?: string) {
  const connected = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    connected.resolve();
    socket.on('error', () => undefined).on('close', () => left.resolve());
    socket.resume();
    if (answer !== undefined) socket.write(answer);
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    connected: connected.promise,
    left: left.promise,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

test('answers commands of the same directory', async () => {
  await using socket = await temporaryPlace();
  await using _server = await openControlServer(socket.path, components);
  expect(await askStatus(socket.path)).toEqual(exampleStatus);
  const answer = await askDaemon(socket.path, adminRoutes.invite, { uses: 3 });
  expect(answer?.invite).toBe('skein1-for-3');
  const revoking = askDaemon(socket.path, adminRoutes.revoke, { peer: exampleStatus.peer });
  await expect(revoking).rejects.toMatchObject({ code: 'not-found' });
});

test('knows when nobody runs', async () => {
  await using socket = await temporaryPlace();
  expect(await askStatus(socket.path)).toBeUndefined();
  expect(await stopDaemon(socket.path, { signal: AbortSignal.timeout(5000) })).toBeUndefined();
});

test('hands the command the error that the daemon has', async () => {
  await using socket = await temporaryPlace();
  const starting = () => {
    throw new SkeinError('not-running', 'still starting; try again');
  };
  await using _server = await openControlServer(socket.path, testComponents({ daemonStatus: starting }));
  await expect(askStatus(socket.path)).rejects.toMatchObject({
    code: 'not-running',
    message: 'still starting; try again',
  });
});

test('lets one daemon run in a directory', async () => {
  await using socket = await temporaryPlace();
  await using _server = await openControlServer(socket.path, components);
  await expect(openControlServer(socket.path, components)).rejects.toMatchObject({
    code: 'already-running',
    message: expect.stringContaining('skein stop'),
  });
  expect(await askStatus(socket.path)).toEqual(exampleStatus);
});

test.skipIf(process.platform !== 'linux')('leaves the socket to a daemon that is too busy to answer', async () => {
  await using socket = await temporaryPlace();
  const listen = `require('node:net').createServer().listen({ path: ${JSON.stringify(socket.path)}, backlog: 1 }, () => console.log('up'))`;
  const daemon = spawn(process.execPath, ['--eval', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void daemon.kill('SIGKILL'));
  await once(daemon.stdout, 'data');
  daemon.kill('SIGSTOP');
  // Those that it has not accepted fill its queue; whoever comes then is turned away at once.
  const waiting = Array.from({ length: 4 }, () => createConnection(socket.path).on('error', () => undefined));
  onTestFinished(() => waiting.forEach((one) => one.destroy()));
  const busy = { code: 'peer-lost', message: expect.stringContaining('(EAGAIN)') as string };
  await vi.waitFor(async () => await expect(askStatus(socket.path)).rejects.toMatchObject(busy));
  await expect(openControlServer(socket.path, components)).rejects.toMatchObject(busy);
  expect(existsSync(socket.path)).toBe(true);
});

test('gives the socket up when disposed', async () => {
  await using socket = await temporaryPlace();
  await using server = await openControlServer(socket.path, components);
  await server[Symbol.asyncDispose]();
  expect(existsSync(socket.path)).toBe(false);
});

test.skipIf(process.platform === 'win32')('replaces the socket of a daemon that was killed', async () => {
  await using socket = await temporaryPlace();
  const listener = `require('node:net').createServer().listen(process.argv[1], () => process.stdout.write('up'))`;
  const killed = spawn(process.execPath, ['-e', listener, socket.path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(existsSync(socket.path)).toBe(true);
  await using _server = await openControlServer(socket.path, components);
  expect(await askStatus(socket.path)).toEqual(exampleStatus);
});

test('waits for the end of the process that it stops', async () => {
  await using socket = await temporaryPlace();
  const source = `
    import { openControlServer, stopHandler } from ${JSON.stringify(new URL('control-server.ts', import.meta.url).href)};
    import { testComponents } from ${JSON.stringify(new URL('../testing/test-daemon.ts', import.meta.url).href)};
    let ended;
    const stopped = new Promise((resolve) => (ended = resolve));
    const alive = setInterval(() => undefined, 1000);
    const server = await openControlServer(process.argv[1], testComponents({ stop: stopHandler(() => ended()) }));
    process.stdout.write('up');
    await stopped;
    clearInterval(alive);
    await server[Symbol.asyncDispose]();`;
  const daemon = spawn(process.execPath, ['--input-type=module', '-e', source, socket.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(daemon, 'exit');
  await once(daemon.stdout, 'data');
  expect(await stopDaemon(socket.path, { signal: AbortSignal.timeout(10_000) })).toBe(daemon.pid);
  expect(await exited).toEqual([0, null]);
  expect(existsSync(socket.path)).toBe(false);
});

const post = (length: number, body: string) =>
  `POST /skein/v1/invites HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;

test.each<[string, number, string | Uint8Array]>([
  ['bytes that are no HTTP', 400, Uint8Array.from({ length: 4096 }, (_, index) => (index * 151) % 256)],
  ['a frame of the protocol that this one replaced', 400, encodeFrame({ type: 'stop' })],
  ['a body that is longer than any', 413, post(2 ** 31, '{')],
  ['a body that is no JSON', 400, post(7, '{"uses"')],
  ['a body of another kind', 400, post(11, '{"uses":[]}')],
  ['a header without end', 431, `GET /skein/v1/daemon HTTP/1.1\r\nx: ${'x'.repeat(100_000)}`],
  ['another name for this machine', 400, 'GET /skein/v1/daemon HTTP/1.1\r\nhost: evil.example\r\n\r\n'],
])('refuses %s, and answers others', async (_, code, bytes) => {
  await using socket = await temporaryPlace();
  await using _server = await openControlServer(socket.path, components);
  const hostile = createConnection(socket.path).on('error', () => undefined);
  onTestFinished(() => void hostile.destroy());
  hostile.write(bytes);
  const [answer] = (await once(hostile, 'data')) as [Buffer];
  expect(String(answer)).toMatch(new RegExp(`^HTTP/1\\.1 ${code} `));
  expect(await askStatus(socket.path)).toEqual(exampleStatus);
});

test.each([
  ['speaks another protocol', encodeFrame({ type: 'daemon-status' }), /end its process by hand/],
  ['answers something else', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}', /not of the form/],
  ['goes away in the middle', 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}', /the daemon went away/],
])('takes no answer from what %s', async (_, answer, said) => {
  await using socket = await temporaryPlace();
  const server = createServer((one) => one.on('error', () => undefined).end(answer)).listen(socket.path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  await expect(askStatus(socket.path)).rejects.toMatchObject({
    code: expect.stringMatching(/^(protocol-violation|peer-lost)$/) as string,
    message: expect.stringMatching(said) as string,
  });
});

test.each([
  ['200 OK', 'protocol-violation'],
  ['500 Internal Server Error', 'internal'],
])('stops reading an answer that is longer than any: %s', async (head, code) => {
  await using socket = await temporaryPlace();
  const left = Promise.withResolvers<void>();
  const server = createServer((one) => {
    one.on('error', () => undefined).on('close', () => left.resolve());
    one.write(`HTTP/1.1 ${head}\r\n\r\n`);
    const say = (): void => {
      while (one.write(Buffer.alloc(1024 * 1024, 0x20)));
      one.once('drain', say);
    };
    say();
  }).listen(socket.path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  await expect(askStatus(socket.path)).rejects.toMatchObject({ code });
  await left.promise;
});

test('tells the coordinator when who deploys goes away', async () => {
  await using socket = await temporaryPlace();
  const [asked, left] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const fetch = async (): Promise<Response> => {
    asked.resolve();
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => stream.enqueue(Buffer.from(': it begins\n\n')),
      cancel: () => left.resolve(),
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };
  await using _server = await openControlServer(
    socket.path,
    testComponents(administration, () => ({ fetch })),
  );
  const person = new AbortController();
  const deploying = openLocalCoordinator(socket.path).deploy({ model: 'tiny' }, { signal: person.signal });
  await asked.promise;
  person.abort(new SkeinError('aborted', 'interrupted'));
  await expect(deploying).rejects.toMatchObject({ code: 'aborted', message: 'interrupted' });
  await left.promise;
});

test('gives up on a daemon that stays silent when it is told to stop', async () => {
  await using socket = await temporaryPlace();
  await using daemon = await startSilentDaemon(socket.path);
  const { signal } = new AbortController();
  await expect(stopDaemon(socket.path, { signal, answerTimeoutMs: 20 })).rejects.toMatchObject({
    code: 'deadline-exceeded',
    message: expect.stringContaining('process'),
  });
  await daemon.left;
});

test.each([
  ['that stays silent', undefined],
  ['whose process does not end', eventStream({ pid: 42 })],
])('lets a person leave a daemon %s', async (_, answer) => {
  await using socket = await temporaryPlace();
  await using daemon = await startSilentDaemon(socket.path, answer);
  const controller = new AbortController();
  const stopping = stopDaemon(socket.path, { signal: controller.signal });
  await daemon.connected;
  controller.abort(new SkeinError('aborted', 'interrupted'));
  await expect(stopping).rejects.toMatchObject({ code: 'aborted', message: 'interrupted' });
  await daemon.left;
});

test.skipIf(process.platform === 'win32')(
  'ends `skein stop` with 130 at Ctrl-C, whatever the daemon does',
  async () => {
    await using socket = await temporaryPlace();
    await using daemon = await startSilentDaemon(socket.path);
    const main = fileURLToPath(new URL('../main.ts', import.meta.url));
    const command = spawn(process.execPath, [main, 'stop', '--data', socket.directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void command.kill('SIGKILL'));
    const said = text(command.stderr);
    const exited = once(command, 'exit');
    await daemon.connected;
    command.kill('SIGINT');
    expect(await exited).toEqual([130, null]);
    expect(await said).toBe('');
  },
);
