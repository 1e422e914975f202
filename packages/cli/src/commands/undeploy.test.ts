import { once } from 'node:events';
import { mkdtempDisposable, realpath } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { openControlServer, type ControlHandlers } from '../control/control-server.ts';
import { controlSocketPath } from '../control/socket-path.ts';
import { runInProcess } from '../testing/run-in-process.ts';

const id = '0b9c4f1e-8a51-4a0e-9d3b-2f4de1c0a7b6';
const peer = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const deployment = {
  id,
  model: 'a'.repeat(64),
  name: 'tiny',
  stages: [],
  contextTokens: 512,
  sequences: 4,
  explanation: 'one peer holds it all',
  startedAt: 1,
};

/** Requests for a deployment to be taken down, and how the coordinator answers them. */
let asked: (string | undefined)[];
let answer: (response: ServerResponse) => void;
const server = createServer((request, response) => {
  if (request.method !== 'DELETE') {
    const traffic = { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} };
    const deployments = [{ ...deployment, state: 'ready' }];
    response.end(JSON.stringify({ peer, addresses: [], cards: [], deployments, traffic }));
    return;
  }
  asked.push(request.url);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  answer(response);
});

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function say(response: ServerResponse, state: string, running?: number): void {
  response.write(`data: ${JSON.stringify({ deployment: { ...deployment, state, running } })}\n\n`);
}

/** Runs the command where a daemon coordinates. */
async function undeploy(commandLine: readonly string[], signal?: AbortSignal) {
  asked = [];
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-undeploy-'));
  const data = await realpath(root.path);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const handlers: Pick<ControlHandlers, 'status'> = {
    status: () => ({
      type: 'daemon-status',
      pid: process.pid,
      peer,
      url,
      startedAtMs: 1,
      hasTwin: false,
      traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
      cards: [],
    }),
  };
  const path = await controlSocketPath(data, { platform: process.platform });
  await using _server = await openControlServer(path, handlers as ControlHandlers);
  const options = { data, isTTY: true, ...(signal !== undefined && { signal }) };
  return await runInProcess(['undeploy', ...commandLine], options);
}

test('waits for the answers that run, and says how many there are and how to cut them', async () => {
  answer = (response) => {
    for (const running of [3, 3, 1, 0]) say(response, 'draining', running);
    say(response, 'closed');
    response.end();
  };
  const { code, stdout, stderr } = await undeploy(['0b9c']);
  expect([code, stdout, asked]).toEqual([0, `${id} is taken down.\n`, [`/skein/v1/deployments/${id}?now=false`]]);
  expect(stderr.split('\n')).toEqual([
    `waiting for 3 answers to end; \`skein undeploy ${id} --now\` cuts them, Ctrl-C only stops waiting`,
    'waiting for 1 answer to end',
    '',
  ]);
});

test('cuts them when told to', async () => {
  answer = (response) => {
    say(response, 'closed');
    response.end();
  };
  const { stdout } = await undeploy([id, '--now', '--json']);
  expect(JSON.parse(stdout)).toEqual({ id });
  expect(asked).toEqual([`/skein/v1/deployments/${id}?now=true`]);
});

test('says at Ctrl-C what goes on without it', async () => {
  const interruption = new AbortController();
  answer = (response) => {
    say(response, 'draining', 1);
    interruption.abort();
  };
  const { code, stderr } = await undeploy([id], interruption.signal);
  expect(code).toBe(1);
  expect(stderr).toContain('it is taken down when its answers have ended, see `skein status`');
});

test('names where to look for an id that is none', async () => {
  const { code, stderr } = await undeploy(['77']);
  expect([code, stderr, asked]).toEqual([1, expect.stringContaining('skein status'), []]);
});
