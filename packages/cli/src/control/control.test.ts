import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtempDisposable, realpath } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { encodeFrame, SkeinError } from '@skein/protocol';
import { expect, onTestFinished, test, vi } from 'vitest';

import { ask, askStatus, stopDaemon } from './control-client.ts';
import { openControlServer, type ControlHandlers } from './control-server.ts';
import { doneAnswerSchema, inviteAnswerSchema, type DaemonStatus } from './messages.ts';
import { controlSocketPath } from './socket-path.ts';

const status: DaemonStatus = {
  type: 'daemon-status',
  pid: 42,
  peer: '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2',
  startedAtMs: 1,
  hasTwin: false,
  traffic: { total: { sentBytes: 1, receivedBytes: 2 }, peers: {} },
  cards: [],
};
const handlers: ControlHandlers = {
  status: () => status,
  invite: async ({ uses }) => `skein1-for-${uses}`,
  members: () => ({ type: 'daemon-members', mesh: status.peer, members: [] }),
  approve: async () => undefined,
  revoke: async (peer) => {
    throw new SkeinError('not-found', `${peer} is no member`);
  },
  rotate: async () => undefined,
  leave: async () => undefined,
  admitClient: async () => {
    throw new SkeinError('peer-lost', 'the authority is not there');
  },
  announceModels: async () => undefined,
  stop: () => undefined,
};

async function temporarySocket() {
  const root = await mkdtempDisposable(join(tmpdir(), 'skein-control-'));
  const directory = await realpath(root.path);
  const path = await controlSocketPath(directory, { platform: process.platform });
  return { directory, path, [Symbol.asyncDispose]: root[Symbol.asyncDispose] };
}

/** Stands for a daemon that hangs: accepts connections, answers with these bytes or not at all, and counts. */
async function startSilentDaemon(path: string, answer?: Uint8Array) {
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
  await using socket = await temporarySocket();
  await using _server = await openControlServer(socket.path, handlers);
  expect(await askStatus(socket.path)).toEqual(status);
  const answer = await ask(socket.path, { type: 'invite', uses: 3 }, inviteAnswerSchema);
  expect(answer?.invite).toBe('skein1-for-3');
  const revoking = ask(socket.path, { type: 'revoke', peer: status.peer }, doneAnswerSchema);
  await expect(revoking).rejects.toMatchObject({ code: 'not-found' });
});

test('knows when nobody runs', async () => {
  await using socket = await temporarySocket();
  expect(await askStatus(socket.path)).toBeUndefined();
  expect(await stopDaemon(socket.path, { signal: AbortSignal.timeout(5000) })).toBeUndefined();
});

test('hands the command the error that the daemon has', async () => {
  await using socket = await temporarySocket();
  const starting = () => {
    throw new SkeinError('not-running', 'still starting; try again');
  };
  await using _server = await openControlServer(socket.path, { ...handlers, status: starting });
  await expect(askStatus(socket.path)).rejects.toMatchObject({
    code: 'not-running',
    message: 'still starting; try again',
  });
});

test('lets one daemon run in a directory', async () => {
  await using socket = await temporarySocket();
  await using _server = await openControlServer(socket.path, handlers);
  await expect(openControlServer(socket.path, handlers)).rejects.toMatchObject({
    code: 'already-running',
    message: expect.stringContaining('skein stop'),
  });
  expect(await askStatus(socket.path)).toEqual(status);
});

test.skipIf(process.platform !== 'linux')('leaves the socket to a daemon that is too busy to answer', async () => {
  await using socket = await temporarySocket();
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
  await expect(openControlServer(socket.path, handlers)).rejects.toMatchObject(busy);
  expect(existsSync(socket.path)).toBe(true);
});

test('gives the socket up when disposed', async () => {
  await using socket = await temporarySocket();
  await using server = await openControlServer(socket.path, handlers);
  await server[Symbol.asyncDispose]();
  expect(existsSync(socket.path)).toBe(false);
});

test.skipIf(process.platform === 'win32')('replaces the socket of a daemon that was killed', async () => {
  await using socket = await temporarySocket();
  const listener = `require('node:net').createServer().listen(process.argv[1], () => process.stdout.write('up'))`;
  const killed = spawn(process.execPath, ['-e', listener, socket.path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(existsSync(socket.path)).toBe(true);
  await using _server = await openControlServer(socket.path, handlers);
  expect(await askStatus(socket.path)).toEqual(status);
});

test('waits for the end of the process that it stops', async () => {
  await using socket = await temporarySocket();
  const source = `
    import { openControlServer } from ${JSON.stringify(new URL('control-server.ts', import.meta.url).href)};
    let ended;
    const stopped = new Promise((resolve) => (ended = resolve));
    const alive = setInterval(() => undefined, 1000);
    const server = await openControlServer(process.argv[1], { stop: () => ended() });
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

test('gives up on a daemon that stays silent when it is told to stop', async () => {
  await using socket = await temporarySocket();
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
  ['whose process does not end', encodeFrame({ type: 'daemon-stopping', pid: 42 })],
])('lets a person leave a daemon %s', async (_, answer) => {
  await using socket = await temporarySocket();
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
    await using socket = await temporarySocket();
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
