import { deploymentDefaults, type DaemonStatus, type DeploymentStatus, type MeshStatus } from '@skein/protocol';
import { expect, test } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';
import { startTestDaemon } from '../testing/test-daemon.ts';

const id = '0b9c4f1e-8a51-4a0e-9d3b-2f4de1c0a7b6';
const deployment: DeploymentStatus = {
  id,
  model: 'a'.repeat(64),
  name: 'tiny',
  state: 'ready',
  stages: [],
  ...deploymentDefaults,
  contextTokens: 512,
  microBatchRows: 128,
  explanation: 'one peer holds it all',
  startedAt: 1,
};
const view: Pick<MeshStatus & DaemonStatus, 'peer' | 'cards' | 'traffic'> = {
  peer: '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2',
  cards: [],
  traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
};

/** An answer to a request for a deployment to be taken down, as it is being written. */
interface Events {
  readonly say: (state: DeploymentStatus['state'], running?: number) => void;
  readonly end: () => void;
}

/** Requests for a deployment to be taken down, and how the coordinator answers them. */
let asked: string[];
let answer: (events: Events) => void;

/** The coordinator's side of the wire. */
async function fetch({ method, url }: Request): Promise<Response> {
  if (method !== 'DELETE') {
    const status: MeshStatus = { ...view, addresses: [], deployments: [deployment] };
    return Response.json(status);
  }
  const { pathname, search } = new URL(url);
  asked.push(pathname + search);
  const body = new ReadableStream<string>({
    start: (controller) =>
      answer({
        say: (state, running) => {
          controller.enqueue(`data: ${JSON.stringify({ deployment: { ...deployment, state, running } })}\n\n`);
        },
        end: () => controller.close(),
      }),
  });
  return new Response(body.pipeThrough(new TextEncoderStream()), { headers: { 'content-type': 'text/event-stream' } });
}

/** Runs the command where a daemon coordinates. */
async function undeploy(commandLine: readonly string[], signal?: AbortSignal) {
  asked = [];
  const daemonStatus = {
    ...view,
    pid: process.pid,
    url: 'http://127.0.0.1:1',
    startedAtMs: 1,
    hasIdentityConflict: false,
  };
  await using daemon = await startTestDaemon({ daemonStatus: () => daemonStatus }, () => ({ fetch }));
  const options = { data: daemon.directory, isTTY: true, ...(signal !== undefined && { signal }) };
  return await runInProcess(['undeploy', ...commandLine], options);
}

test('waits for the answers that run, and says how many there are and how to cut them', async () => {
  answer = ({ say, end }) => {
    for (const running of [3, 3, 1, 0]) say('draining', running);
    say('closed');
    end();
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
  answer = ({ say, end }) => {
    say('closed');
    end();
  };
  const { stdout } = await undeploy([id, '--now', '--json']);
  expect(JSON.parse(stdout)).toEqual({ id });
  expect(asked).toEqual([`/skein/v1/deployments/${id}?now=true`]);
});

test('says at Ctrl-C what goes on without it', async () => {
  const interruption = new AbortController();
  answer = ({ say }) => {
    say('draining', 1);
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
