import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';
import { z } from 'zod';

import { freePort } from '../../scripts/bench/processes/free-port.ts';
import { writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { startSkein, type Machine, type RunningSkein } from '../../scripts/quickstart/skein-command.ts';
import { untilPlaced, type Placement } from '../support/daemon-status.ts';
import { runCommand } from '../support/run-command.ts';

const factsSchema = z.looseObject({ pid: z.number(), url: z.string().optional(), addresses: z.array(z.string()) });

const here = (port: number) => ['--no-mdns', '--listen', `/ip4/127.0.0.1/tcp/${port}`];
const serving = ['--backend', 'cpu', '--threads', '1', '--network', 'local'];
const inviteSchema = z.object({ invite: z.string() });

/** An office of machines in processes of their own, each killed at the end. */
class Office implements AsyncDisposable {
  readonly #root: string;
  readonly #signal: AbortSignal;
  readonly #running = new Map<string, RunningSkein>();

  constructor(root: string, signal: AbortSignal) {
    this.#root = root;
    this.#signal = signal;
  }

  machine(name: string): Machine {
    return { name, data: join(this.#root, name) };
  }

  /** Starts a daemon; returns what it says of itself. */
  async start(name: string, words: readonly string[]): Promise<z.infer<typeof factsSchema>> {
    const running = await startSkein(words, { machine: this.machine(name), signal: this.#signal });
    this.#running.set(name, running);
    return factsSchema.parse(running.facts);
  }

  /** Has a machine join the mesh of `desk`. */
  async join(name: string): Promise<z.infer<typeof factsSchema>> {
    const { invite } = inviteSchema.parse(await this.run('desk', ['invite']));
    return await this.start(name, ['join', invite, '--name', name, ...here(0), ...serving]);
  }

  async run(name: string, words: readonly string[]): Promise<unknown> {
    return await runCommand(words, { machine: this.machine(name), signal: this.#signal });
  }

  /** Kills daemons with SIGKILL, and waits until they are gone. */
  async kill(...names: readonly string[]): Promise<void> {
    const gone = names.map((name) => this.#running.get(name));
    for (const one of gone) process.kill(factsSchema.parse(one?.facts).pid, 'SIGKILL');
    await Promise.all(gone.map(async (one) => await one?.[Symbol.asyncDispose]()));
  }

  /** Waits until what a machine sees is as wanted, and returns it. */
  async until(name: string, isAsWanted: (seen: Placement) => boolean): Promise<Placement> {
    return await untilPlaced(this.machine(name), { isAsWanted, signal: this.#signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map(async (one) => await one[Symbol.asyncDispose]()));
  }
}

/** Returns the process ids of the engines of a daemon. */
async function enginesOf({ pid }: { readonly pid: number }): Promise<readonly string[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ');
}

async function answers(url: string | undefined): Promise<void> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: 'once', max_tokens: 3, temperature: 0 }),
  });
  expect(response.status, await response.text()).toBe(200);
}

function isReady({ deployments }: Placement): boolean {
  return deployments.length === 1 && deployments[0]?.isReady === true;
}

async function inOffice(work: (office: Office, model: string) => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(280_000);
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-restart-'));
  const model = join(root.path, 'tiny.gguf');
  await writeTinyModel('llama', model);
  await using office = new Office(root.path, signal);
  await work(office, model);
}

test.skipIf(process.platform !== 'linux')(
  'a split model outlives its coordinator, and comes back when all machines were killed',
  async () => {
    await inOffice(async (office, model) => {
      const up = ['up', '--port', '0', '--no-serve', ...here(await freePort())];
      await office.start('desk', up);
      const peers: { readonly pid: number }[] = [];
      for (const name of ['one', 'two']) {
        if (name === 'one') await office.run(name, ['pull', model]);
        peers.push(await office.join(name));
      }
      await office.run('desk', ['deploy', 'tiny', '--stages', '2', '--ctx', '256']);
      const [deployment] = (await office.until('desk', isReady)).deployments;
      const engines = await Promise.all(peers.map(enginesOf));
      expect(engines.flat()).toHaveLength(2);

      await office.kill('desk');
      await answers((await office.start('desk', up)).url);
      expect((await office.until('desk', isReady)).deployments).toMatchObject([{ id: deployment?.id }]);
      expect(await Promise.all(peers.map(enginesOf))).toEqual(engines);

      await office.kill('desk', 'one', 'two');
      const { url } = await office.start('desk', up);
      for (const name of ['one', 'two']) await office.start(name, ['join']);
      const { deployments } = await office.until('desk', isReady);
      expect(deployments).toMatchObject([{ id: deployment?.id, stages: [{}, {}] }]);
      await answers(url);
    });
  },
  300_000,
);

test('`up` waits for the second machine of its model, and says so', async () => {
  await inOffice(async (office, model) => {
    const words = ['up', '--port', '0', '--model', model, '--stages', '2', '--ctx', '256', ...here(await freePort())];
    const up = office.start('desk', [...words, ...serving]);
    const { waiting } = await office.until('desk', (seen) => seen.waiting?.length === 1);
    expect(waiting).toMatchObject([{ name: 'tiny', reason: expect.stringContaining('2 stages') as string }]);
    await office.join('one');
    await answers((await up).url);
    expect((await office.until('desk', isReady)).deployments).toMatchObject([
      { id: waiting?.[0]?.id, stages: [{}, {}] },
    ]);
  });
}, 300_000);
