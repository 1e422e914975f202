import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';

import { AdminClient } from '@skein/client';
import { Watchdog } from '@skein/mesh';
import { adminRoutes, invariant, SkeinError, type DaemonStatus } from '@skein/protocol';
import { describe, expect, onTestFinished, test } from 'vitest';

import { exampleStatus, temporaryPlace, testComponents } from '../testing/test-daemon.ts';
import { dialControl } from './control-client.ts';
import { openControlServer } from './control-server.ts';
import { namedPipes } from './named-pipes.ts';
import { fetchOver } from './socket-fetch.ts';
import { connect } from './transport.ts';

const components = testComponents({ daemonStatus: () => exampleStatus });

/** Names of the pipes that were looked for, in order. */
let names: string[] = [];

// Sockets of Linux without a path are like pipes of Windows: anybody sees and takes their names, which end with their process.
const isHere = process.platform === 'win32' || process.platform === 'linux';
function noted(name: string): string {
  names.push(name);
  return addressOf(name);
}
const pipes = namedPipes({ addressOf: noted });

function addressOf(name: string): string {
  return process.platform === 'win32' ? String.raw`\\.\pipe\skein-${name}` : `\0skein-${name}`;
}

async function place() {
  names = [];
  const { directory, ...rest } = await temporaryPlace();
  return { directory, ...rest, path: join(directory, 'control.pipe') };
}

async function ask(path: string): Promise<DaemonStatus | undefined> {
  const socket = await dialControl(path, pipes);
  if (socket === undefined) return undefined;
  const fetch = fetchOver(socket, (cause) => new SkeinError('peer-lost', 'lost', { cause }));
  using watchdog = new Watchdog(undefined);
  return await new AdminClient({ url: 'http://localhost', fetch }).ask(adminRoutes.daemonStatus, {}, watchdog);
}

/** Takes the name of a pipe, as another user could who has seen it. */
async function squat(name: string, onConnection: (socket: Socket) => void): Promise<void> {
  const squatter = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  }).listen(addressOf(name));
  onTestFinished(() => void squatter.close());
  await once(squatter, 'listening');
}

/** A directory whose daemon was killed, with the name of its pipe. */
async function killedDaemon() {
  const left = await place();
  await writeFile(left.path, randomBytes(32).toString('hex'), { mode: 0o600 });
  expect(await ask(left.path)).toBeUndefined();
  return { ...left, name: invariant(names[0], 'a name was looked for') };
}

describe.skipIf(!isHere)('named pipes', () => {
  test('serve commands of the same directory, and one daemon there', async () => {
    await using at = await place();
    await using server = await openControlServer(at.path, components, pipes);
    expect(await ask(at.path)).toEqual(exampleStatus);
    expect(await ask(at.path)).toEqual(exampleStatus);
    await expect(openControlServer(at.path, components, pipes)).rejects.toMatchObject({ code: 'already-running' });
    expect(await ask(at.path)).toEqual(exampleStatus);
    await server[Symbol.asyncDispose]();
    expect(await readdir(at.directory)).toEqual([]);
    expect(await ask(at.path)).toBeUndefined();
  });

  test('have a name that nobody can guess, from a secret', async () => {
    await using at = await place();
    await using _server = await openControlServer(at.path, components, pipes);
    const secret = await readFile(at.path, 'utf8');
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    const [name = ''] = names;
    expect(name).toMatch(/^[0-9a-f]{32}$/);
    expect(secret).not.toContain(name);
    await using elsewhere = await place();
    await using _other = await openControlServer(elsewhere.path, components, pipes);
    expect(names).not.toContain(name);
  });

  test.skipIf(process.platform === 'win32')('keep their secret in a file of mode 0600', async () => {
    await using at = await place();
    await using _server = await openControlServer(at.path, components, pipes);
    expect((await stat(at.path)).mode & 0o777).toBe(0o600);
  });

  test('that a killed daemon left make room for the next', async () => {
    await using left = await killedDaemon();
    await using _server = await openControlServer(left.path, components, pipes);
    expect(await ask(left.path)).toEqual(exampleStatus);
    expect(names.at(-1)).not.toBe(left.name);
  });

  test.each<[string, (socket: Socket) => void]>([
    ['makes a proof up', (socket) => void socket.once('data', () => socket.write(randomBytes(32)))],
    ['sends the challenge back', (socket) => void socket.pipe(socket)],
    ['answers like a daemon', (socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')],
    ['hangs up', (socket) => void socket.destroy()],
  ])('are nobody’s where somebody else has their name and %s', async (_, behave) => {
    await using left = await killedDaemon();
    const heard: Buffer[] = [];
    await squat(left.name, (socket) => {
      socket.on('data', (bytes) => heard.push(Buffer.from(bytes)));
      behave(socket);
    });
    expect(await ask(left.path)).toBeUndefined();
    // A challenge, and no request.
    expect(Buffer.concat(heard).byteLength).toBeLessThanOrEqual(32);
    await using _server = await openControlServer(left.path, components, pipes);
    expect(await ask(left.path)).toEqual(exampleStatus);
  });

  test('may be those of a daemon that hangs, where nothing is said', async () => {
    await using left = await killedDaemon();
    await squat(left.name, () => undefined);
    const impatient = namedPipes({ addressOf: noted, timeoutMs: 50 });
    const busy = { code: 'peer-lost', message: expect.stringContaining('(ETIMEDOUT)') as string };
    await expect(dialControl(left.path, impatient)).rejects.toMatchObject(busy);
    await expect(openControlServer(left.path, components, impatient)).rejects.toMatchObject(busy);
    expect(await readdir(left.directory)).toEqual(['control.pipe']);
  });

  test('let go of those who open them and ask for nothing that makes sense', async () => {
    await using at = await place();
    await using _server = await openControlServer(at.path, components, pipes);
    const short = invariant(await connect(addressOf(invariant(names[0], 'it has a name'))), 'it listens');
    short.end('too short');
    await once(short, 'close');
    expect(await ask(at.path)).toEqual(exampleStatus);
  });

  test.each([
    ['nothing', ''],
    ['no secret', 'z'.repeat(64)],
    ['half of one', 'ab'.repeat(16)],
  ])('take a file with %s for one that was left over', async (_, content) => {
    await using at = await place();
    await writeFile(at.path, content, { mode: 0o600 });
    expect(await ask(at.path)).toBeUndefined();
    await using _server = await openControlServer(at.path, components, pipes);
    expect(await ask(at.path)).toEqual(exampleStatus);
  });
});
