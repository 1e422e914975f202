import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';
import { z } from 'zod';

import { freePort } from '../../scripts/bench/processes/free-port.ts';
import { writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { runSkein, startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';

const factsSchema = z.looseObject({ pid: z.number(), peer: z.string(), url: z.string().optional() });
const statusSchema = z.object({
  placer: z.object({ name: z.string(), epoch: z.number() }).optional(),
  deployments: z.array(z.looseObject({ id: z.string(), isReady: z.boolean() })),
});
type Status = z.infer<typeof statusSchema>;

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

test.skipIf(process.platform !== 'linux')(
  'a second coordinator has the first one place, and takes over what it placed when that is killed',
  async () => {
    const signal = AbortSignal.timeout(280_000);
    await using root = await mkdtempDisposable(join(tmpdir(), 'skein-take-over-'));
    const machine = (name: string): Machine => ({ name, data: join(root.path, name) });
    const run = async (name: string, words: readonly string[]) =>
      await runSkein(words, { machine: machine(name), signal });
    const start = async (name: string, words: readonly string[]) => {
      const running = await startSkein(words, { machine: machine(name), signal });
      return {
        ...factsSchema.parse(running.facts),
        [Symbol.asyncDispose]: async () => await running[Symbol.asyncDispose](),
      };
    };
    const invite = async (...more: readonly string[]) =>
      z.object({ invite: z.string() }).parse(await run('first', ['invite', ...more])).invite;
    const until = async (name: string, isAsWanted: (status: Status) => boolean): Promise<Status> => {
      for (;;) {
        signal.throwIfAborted();
        const status = statusSchema.safeParse(await run(name, ['status']).catch(() => undefined));
        if (status.success && isAsWanted(status.data)) return status.data;
      }
    };
    const listen = ['--listen', `/ip4/127.0.0.1/tcp/${await freePort()}`];
    const elsewhere = ['--listen', '/ip4/127.0.0.1/tcp/0'];
    const up = ['up', '--port', '0', '--no-serve', '--name', 'first', ...listen, ...quiet];
    const first = await start('first', up);
    await using _first = first;
    const model = join(root.path, 'tiny.gguf');
    await writeTinyModel('llama', model);
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
    await run('second', ['deploy', 'tiny', '--ctx', '256']);
    const [deployment] = (await until('second', ({ deployments }) => deployments[0]?.isReady === true)).deployments;
    await answers(second.url);
    const engines = await enginesOf(peer.pid);

    process.kill(first.pid, 'SIGKILL');
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
    await run('first', ['undeploy', deployment?.id ?? '']);
    expect((await until('second', ({ deployments }) => deployments.length === 0)).placer?.name).toBe('second');
  },
  300_000,
);
