import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { askInvite, askStatus, stopDaemon } from './control-client.ts';
import { openControlServer, type ControlHandlers } from './control-server.ts';
import type { DaemonStatus } from './messages.ts';
import { controlSocketPath } from './socket-path.ts';

const status: DaemonStatus = {
  type: 'daemon-status',
  pid: 42,
  peer: '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2',
  startedAtMs: 1,
  traffic: { total: { sentBytes: 1, receivedBytes: 2 }, peers: {} },
  cards: [],
};
const handlers: ControlHandlers = {
  status: () => status,
  invite: () => 'skein1-x',
  announceModels: async () => undefined,
  stop: () => undefined,
};

async function temporarySocket() {
  const root = await mkdtempDisposable(join(tmpdir(), 'skein-control-'));
  const path = await controlSocketPath(root.path, { platform: process.platform });
  return { path, [Symbol.asyncDispose]: root[Symbol.asyncDispose] };
}

test('answers commands of the same directory', async () => {
  await using socket = await temporarySocket();
  await using _server = await openControlServer(socket.path, handlers);
  expect(await askStatus(socket.path)).toEqual(status);
  expect(await askInvite(socket.path)).toBe('skein1-x');
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
