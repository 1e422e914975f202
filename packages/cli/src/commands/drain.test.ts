import type { DaemonStatus, DrainStatus } from '@skein/protocol';
import { expect, test } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';
import { startTestDaemon } from '../testing/test-daemon.ts';

const attic = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const deployment = { id: '0b9c4f1e', name: 'tiny' };
const daemonStatus: DaemonStatus = {
  peer: attic,
  traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
  pid: process.pid,
  url: 'http://127.0.0.1:1',
  startedAtMs: 1,
  hasIdentityConflict: false,
  cards: [
    {
      peer: attic,
      version: 1,
      roles: ['peer', 'coordinator'],
      name: 'attic',
      software: 'skein',
      addresses: [],
      models: [],
      stages: [],
    },
  ],
};

/** Requests of the command, and the coordinator's answers. */
let asked: string[];
let answer: () => Response;

async function fetch(request: Request): Promise<Response> {
  const { method, url } = request;
  asked.push(`${method} ${new URL(url).pathname} ${await request.text()}`.trim());
  return answer();
}

const events = (...moves: readonly DrainStatus['moves'][]) =>
  new Response(moves.map((each) => `data: ${JSON.stringify({ peer: attic, moves: each })}\n\n`).join(''), {
    headers: { 'content-type': 'text/event-stream' },
  });

async function run(...commandLine: readonly string[]) {
  asked = [];
  await using daemon = await startTestDaemon({ daemonStatus: () => daemonStatus }, () => ({ fetch }));
  return await runInProcess(commandLine, { data: daemon.directory, isTTY: true });
}

test('says what is being moved, once each, and what has become of it', async () => {
  answer = () =>
    events(
      [{ ...deployment, step: 'replacing' }],
      [{ ...deployment, step: 'replacing' }],
      [{ ...deployment, step: 'handing-over', running: 1 }],
      [{ ...deployment, step: 'gone', replacement: 'other' }],
    );
  const { code, stdout, stderr } = await run('drain', 'attic');
  expect([code, stdout]).toEqual([0, 'attic is drained and takes no stages until `skein undrain`.\n']);
  expect(stderr.split('\n')).toEqual([
    'making a replica of tiny (0b9c4f1e) ready elsewhere',
    'waiting for 1 answer of tiny (0b9c4f1e) to end',
    'tiny (0b9c4f1e) is gone from here',
    '',
  ]);
  expect(asked).toEqual([`POST /skein/v1/peers/${attic}/drain {}`]);
});

test('takes down what has no room elsewhere when it is told to, and prints JSON', async () => {
  const moves: DrainStatus['moves'] = [{ ...deployment, step: 'gone' }];
  answer = () => events([{ ...deployment, step: 'ending' }], moves);
  const { stdout, stderr } = await run('drain', '8nwkRmAgo8Vy3uQEyNNHBox2', '--force', '--json');
  expect(JSON.parse(stdout)).toEqual({ peer: attic, moves });
  expect(stderr).toContain('there is no room elsewhere for tiny (0b9c4f1e); it ends with its answers');
  expect(asked).toEqual([`POST /skein/v1/peers/${attic}/drain {"force":true}`]);
});

test('has a machine take stages again', async () => {
  answer = () => Response.json({});
  const { code, stdout } = await run('undrain', 'attic');
  expect([code, stdout]).toEqual([0, 'attic takes stages again. What was moved off it stays where it is.\n']);
  expect(asked).toEqual([`DELETE /skein/v1/peers/${attic}/drain`]);
});

test('names where to look for a machine that is none', async () => {
  const { code, stderr } = await run('drain', 'cellar');
  expect([code, stderr, asked]).toEqual([1, expect.stringContaining('skein status'), []]);
});
