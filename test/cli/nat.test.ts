import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { decodeInvite } from '@skein/protocol';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { createLan, type Lan } from '../../scripts/lan/lan.ts';
import { missingForNat, publishPort } from '../../scripts/lan/nat.ts';
import { startRelay } from '../../scripts/lan/start-relay.ts';
import { runSkein, startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';

const port = 7330;
const missing = await missingForNat();

const statusSchema = z.object({
  members: z.array(z.looseObject({ peer: z.string(), addresses: z.array(z.string()) })),
});
const factsSchema = z.looseObject({ peer: z.string() });
const deploymentSchema = z.looseObject({
  stages: z.array(z.looseObject({ peer: z.string(), state: z.string() })),
});

/** The machine behind a host of the LAN, with a data directory of its own. */
function behind(lan: Lan, index: number, root: string): Machine {
  const run: Machine['run'] = (...command) => lan.inside(index).run(...command);
  return { name: `behind${index}`, data: join(root, `data${index}`), run };
}

/** Options of a machine behind a host whose address is passed on to it. */
function announcing(lan: Lan, index: number): readonly string[] {
  const address = `/ip4/${lan.host(index).address}/tcp/${port}`;
  return ['--announce', address, '--backend', 'cpu', '--threads', '1', '--network', 'wifi'];
}

test(
  'three members in containers and WSL2 join, fetch a model, form a ring of two stages and answer',
  { timeout: 300_000 },
  async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const signal = AbortSignal.timeout(280_000);
    await using root = await mkdtempDisposable(join(tmpdir(), 'skein-nat-'));
    await using model = await tinyModelFile();
    await using lan = await createLan({ hosts: 3, insides: true });
    // Docker publishes ports in the kernel; Windows passes those of WSL2 on with a program.
    for (const index of [0, 1]) await publishPort(lan.host(index), port);
    await startRelay(lan.host(2), { port, to: { host: lan.inside(2).address, port } });
    const [first, second, third] = [behind(lan, 0, root.path), behind(lan, 1, root.path), behind(lan, 2, root.path)];

    await using _first = await startSkein(['up', '--port', '0', '--no-serve', ...announcing(lan, 0)], {
      machine: first,
      signal,
    });
    const { invite } = z
      .object({ invite: z.string() })
      .parse(await runSkein(['invite', '--uses', '2'], { machine: first, signal }));
    expect(decodeInvite(invite).addresses).toEqual([`/ip4/${lan.host(0).address}/tcp/${port}`]);
    await runSkein(['pull', model.path], { machine: second, signal });
    await using joined = await startSkein(['join', invite, ...announcing(lan, 1)], { machine: second, signal });
    await using joinedLater = await startSkein(['join', invite, ...announcing(lan, 2)], { machine: third, signal });
    const peers = [joined, joinedLater].map(({ facts }) => factsSchema.parse(facts).peer);

    const { members } = statusSchema.parse(await runSkein(['status'], { machine: third, signal }));
    const hosts = members.flatMap(({ addresses }) => addresses.map((address) => address.split('/', 3).at(-1) ?? ''));
    expect(hosts.toSorted()).toEqual(lan.hosts.map(({ address }) => address));

    const deploy = ['deploy', 'tiny-llama', '--stages', '2'];
    const { stages } = deploymentSchema.parse(await runSkein(deploy, { machine: first, signal }));
    expect(stages.map(({ peer }) => peer).toSorted()).toEqual(peers.toSorted());
    const ask = ['run', 'once upon a time', '--max-tokens', '8', '--temperature', '0', '--model', 'tiny-llama'];
    const answers = await Promise.all([first, third].map(async (machine) => await runSkein(ask, { machine, signal })));
    const [here, there] = answers.map((answer) => z.looseObject({ text: z.string().min(1) }).parse(answer).text);
    expect(there).toBe(here);
  },
);
