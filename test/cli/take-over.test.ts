import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';
import { z } from 'zod';

import { connect, type Generation } from '../../packages/client/src/index.ts';
import { MeshClient } from '../../scripts/faults/mesh-client.ts';
import { freePort } from '../../scripts/bench/processes/free-port.ts';
import { writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';
import { untilPlaced, type Placement } from '../support/daemon-status.ts';
import { runCommand } from '../support/run-command.ts';

const factsSchema = z.looseObject({ pid: z.number(), peer: z.string(), url: z.string().optional() });

/** A little more than the time after which a holder that has not looked at the mesh was frozen. */
const leaseMs = 5500;

const quiet = ['--no-mdns', '--network', 'local'];
const serving = ['--backend', 'cpu', '--threads', '1'];

/** Returns the process ids of the engines of a daemon. */
async function enginesOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim();
}

async function answers(url: string | undefined): Promise<void> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: 'once', max_tokens: 3, temperature: 0 }),
  });
  expect(response.status, await response.text()).toBe(200);
}

/** A long answer, which follows a grammar to its last token. */
const question = {
  model: 'tiny',
  prompt: 'once upon a time',
  temperature: 0,
  seed: 1,
  grammar: 'root ::= [a-z ]{5000,}',
};
const length = 700;

async function postQuestion(url: string | undefined, body: object, headers: object = {}): Promise<Response> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...question, max_tokens: length, ...body }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return response;
}

/** Reads an answer as a reader of server-sent events does, which goes on at another URL when the first one is gone. */
async function readEvents(urls: readonly (string | undefined)[], onPiece: () => void) {
  const ids: string[] = [];
  const texts: string[] = [];
  for (const url of urls) {
    const last = ids.at(-1);
    const response = await postQuestion(url, { stream: true }, last === undefined ? {} : { 'last-event-id': last });
    const decoder = new TextDecoder();
    let text = '';
    try {
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        text += decoder.decode(chunk, { stream: true });
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const [, id, data = ''] = /^id: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
          text = text.slice(end + 2);
          if (id === undefined) continue;
          ids.push(id);
          if (data === '[DONE]') return { text: texts.join(''), ids };
          texts.push(/"text":"([^"]*)"/.exec(data)?.[1] ?? '');
          onPiece();
        }
      }
    } catch (error) {
      if (url === urls.at(-1)) throw error;
    }
  }
  throw new Error('the answer did not come to its end');
}

/** Reads an answer of the SDK. */
async function readGeneration(generation: Generation, onPiece: () => void): Promise<string> {
  for await (const _delta of generation) onPiece();
  return (await generation.result()).text;
}

/** Calls back once each of so many readers has had its first pieces. */
function whenAllRead(readers: number, callback: () => void): () => () => void {
  let waiting = readers;
  return () => {
    let pieces = 0;
    return () => {
      pieces += 1;
      if (pieces === 3 && (waiting -= 1) === 0) callback();
    };
  };
}

test.skipIf(process.platform !== 'linux')(
  'a second coordinator has the first one place, and takes over what it placed, and the answers that it carried, when that is killed or frozen',
  async () => {
    const signal = AbortSignal.timeout(280_000);
    await using root = await mkdtempDisposable(join(tmpdir(), 'skein-take-over-'));
    const machine = (name: string): Machine => ({ name, data: join(root.path, name) });
    const run = async (name: string, words: readonly string[]) =>
      await runCommand(words, { machine: machine(name), signal });
    const start = async (name: string, words: readonly string[]) => {
      const running = await startSkein(words, { machine: machine(name), signal });
      return {
        ...factsSchema.parse(running.facts),
        [Symbol.asyncDispose]: async () => await running[Symbol.asyncDispose](),
      };
    };
    const invite = async (...more: readonly string[]) =>
      z.object({ invite: z.string() }).parse(await run('first', ['invite', ...more])).invite;
    const until = async (name: string, isAsWanted: (seen: Placement) => boolean): Promise<Placement> =>
      await untilPlaced(machine(name), { isAsWanted, signal });
    const listen = ['--listen', `/ip4/127.0.0.1/tcp/${await freePort()}`];
    const elsewhere = ['--listen', '/ip4/127.0.0.1/tcp/0'];
    const up = ['up', '--port', '0', '--no-serve', '--name', 'first', ...listen, ...quiet];
    const first = await start('first', up);
    await using _first = first;
    const model = join(root.path, 'tiny.gguf');
    // Answers can be compared where weights are quantized (decision 6).
    await writeTinyModel('llama', model, { weights: 'q8_0' });
    await run('peer', ['pull', model]);
    await using peer = await start('peer', [
      'join',
      await invite(),
      '--name',
      'peer',
      ...elsewhere,
      ...quiet,
      ...serving,
    ]);
    const joined = [
      'join',
      await invite('--role', 'coordinator'),
      '--name',
      'second',
      ...elsewhere,
      ...quiet,
      ...serving,
    ];
    await (await start('second', joined))[Symbol.asyncDispose]();
    await using second = await start('second', ['up', '--port', '0', '--no-serve']);

    // The second one serves, routes, and passes on what it is asked to place.
    expect((await until('second', ({ placer }) => placer !== undefined)).placer?.name).toBe('first');
    await run('second', ['deploy', 'tiny', '--ctx', '4096', '--parallel', '4']);
    const [deployment] = (await until('second', ({ deployments }) => deployments[0]?.isReady === true)).deployments;
    await answers(second.url);
    const engines = await enginesOf(peer.pid);

    // Readers in the middle of an answer go on elsewhere, where the coordinator is on their way, and lose nothing.
    const { choices } = (await (await postQuestion(first.url, {})).json()) as { choices: { text: string }[] };
    const whole = choices[0]?.text ?? '';
    expect(whole.length).toBeGreaterThanOrEqual(length);
    const member = await MeshClient.join(await invite('--role', 'client'), 'client');
    await using _sdk = { [Symbol.asyncDispose]: async () => await member.sdk.close() };
    await using client = await connect({ url: [first.url ?? '', second.url ?? ''] });
    const { prompt, ...settings } = { ...question, maxTokens: length };
    const reader = whenAllRead(3, () => process.kill(first.pid, 'SIGKILL'));
    const [moved, events, direct] = await Promise.all([
      readGeneration(client.complete({ prompt, ...settings }), reader()),
      readEvents([first.url, second.url], reader()),
      readGeneration(member.sdk.complete({ prompt, ...settings }), reader()),
    ]);
    expect([moved, events.text, direct]).toEqual([whole, whole, whole]);
    expect(new Set(events.ids).size).toBe(events.ids.length);
    // Requests go on, whoever places.
    await answers(second.url);
    const after = await until('second', ({ placer }) => placer?.name === 'second');
    expect(after.deployments).toMatchObject([{ id: deployment?.id, isReady: true }]);
    expect(await enginesOf(peer.pid)).toBe(engines);

    // The first one is back, and leaves it at that.
    await using _again = await start('first', up);
    const back = await until('first', ({ placer, deployments }) => placer !== undefined && deployments.length > 0);
    expect(back).toMatchObject({ placer: { name: 'second' }, deployments: [{ id: deployment?.id, isReady: true }] });
    expect(await enginesOf(peer.pid)).toBe(engines);

    // The holder is frozen for longer than its lease lasts: it is followed by the first one, and follows that when it goes on.
    process.kill(second.pid, 'SIGSTOP');
    const frozenAtMs = performance.now();
    const epoch = back.placer?.epoch ?? 0;
    await until('first', ({ placer }) => placer?.name === 'first' && performance.now() - frozenAtMs > leaseMs);
    process.kill(second.pid, 'SIGCONT');
    // Nobody was connected to it any more: it sees the peer's deployment when it is connected again.
    const thawed = await until(
      'second',
      ({ placer, deployments }) => placer?.name === 'first' && deployments.length > 0,
    );
    expect(thawed).toMatchObject({ deployments: [{ id: deployment?.id, isReady: true }] });
    expect(thawed.placer?.epoch).toBeGreaterThan(epoch);
    await answers(second.url);
    expect(await enginesOf(peer.pid)).toBe(engines);
    await run('second', ['undeploy', deployment?.id ?? '']);
    expect((await until('second', ({ deployments }) => deployments.length === 0)).placer?.name).toBe('first');
  },
  300_000,
);
