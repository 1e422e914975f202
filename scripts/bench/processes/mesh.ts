import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { untilMembers } from '../../quickstart/until-members.ts';
import type { CaseContext } from '../bench-case.ts';
import type { CompletionEndpoint } from '../completion.ts';
import { engineOf } from '../memory.ts';
import type { BenchModel } from '../models.ts';
import type { StageBlock } from '../stage-weights.ts';
import { runSkein, startSkein } from './skein-command.ts';

const upFacts = z.object({ pid: z.number(), peer: z.string(), url: z.string() });
const invited = z.object({ invite: z.string() });
const joinFacts = z.object({ pid: z.number(), peer: z.string() });
const pulled = z.object({ name: z.string() });
const deployed = z.object({
  deployment: z.object({
    id: z.string(),
    stages: z.array(z.object({ peer: z.string(), block: z.object({ from: z.number(), to: z.number() }) })),
  }),
});
const traffic = z.object({
  traffic: z.object({ peers: z.record(z.string(), z.object({ sentBytes: z.number(), receivedBytes: z.number() })) }),
});

/** Flags of every daemon here: one thread, and nothing beyond this machine. */
export const daemonFlags: readonly string[] = [
  '--threads=1',
  '--backend=cpu',
  '--no-mdns',
  '--listen=/ip4/127.0.0.1/tcp/0',
];

/** Fields of `POST /skein/v1/deployments` beside the model. */
export interface BenchSpec {
  readonly stages?: number;
  readonly layers?: readonly number[];
  readonly contextTokens?: number;
  readonly sequences?: number;
  readonly activations?: 'f32' | 'f16';
}

export interface BenchDeployment extends AsyncDisposable {
  /** Stages in the order of their layers. */
  readonly stages: readonly { readonly pid: number; readonly block: StageBlock }[];
}

/** Daemons in processes of their own, each on its core. The first coordinates, and has the model. */
export interface BenchMesh extends AsyncDisposable {
  /** Endpoint of the coordinator's API, with its defaults. */
  readonly endpoint: CompletionEndpoint;
  /** Deploys the model. The `pid` of a stage is that of the daemon that holds it. Disposing takes the deployment down. */
  deploy(spec: BenchSpec): Promise<BenchDeployment>;
  /** Returns the bytes on the streams between the first two daemons, both ways, since they started. */
  trafficBytes(): Promise<number>;
}

/** Starts a daemon on each of the cores. */
export async function startMesh(
  cores: readonly number[],
  {
    model,
    directory,
    signal,
    say,
    kernels,
  }: Pick<CaseContext, 'directory' | 'signal' | 'say'> &
    Partial<Pick<CaseContext, 'kernels'>> & { readonly model: Pick<BenchModel, 'path'> },
): Promise<BenchMesh> {
  await using stack = new AsyncDisposableStack();
  const own = await mkdtemp(join(directory, 'mesh-'));
  const optionsOf = (core: number) => ({ cores: [core], data: join(own, `peer-${core}`), signal });
  const start = async (core: number, commandLine: readonly string[]) => {
    const { facts, process } = await startSkein([...commandLine, ...daemonFlags], optionsOf(core));
    stack.use(process);
    return facts;
  };
  const [first = 0, ...others] = cores;
  const { name } = pulled.parse(await runSkein(['pull', model.path], optionsOf(first)));
  const { url, ...home } = upFacts.parse(await start(first, ['up', '--port', '0', '--name', 'peer-0']));
  const uses = ['--uses', `${Math.max(1, others.length)}`];
  const { invite } = invited.parse(await runSkein(['invite', ...uses], optionsOf(first)));
  const joined = await Promise.all(
    others.map(async (core, index) =>
      joinFacts.parse(await start(core, ['join', invite, '--name', `peer-${index + 1}`])),
    ),
  );
  const peers = [home, ...joined];
  await untilMembers(url, { peers: peers.map(({ peer }) => peer), model: name, signal });
  say(`${peers.length === 1 ? 'a daemon serves' : `${peers.length} daemons serve`} ${name}`);
  const running = stack.move();
  return {
    endpoint: { url, model: name, parameters: {} },
    async deploy(spec) {
      const response = await fetch(`${url}/skein/v1/deployments`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ model: name, ...spec }),
        signal,
      });
      if (!response.ok) throw new Error(`can't deploy ${name}: ${await response.text()}`);
      const { deployment } = deployed.parse(await response.json());
      const stages = deployment.stages.map(({ peer, block }) => ({
        pid: peers.find((one) => one.peer === peer)?.pid ?? -1,
        block,
      }));
      for (const { pid } of stages) await kernels?.note('engine', await engineOf(pid));
      return {
        stages,
        async [Symbol.asyncDispose]() {
          // Where all is being stopped, the daemons' end takes it down as well.
          if (!signal.aborted)
            await fetch(`${url}/skein/v1/deployments/${deployment.id}`, { method: 'DELETE', signal });
        },
      };
    },
    async trafficBytes() {
      const response = await fetch(`${url}/skein/v1/status`, { signal });
      const { peers: counts } = traffic.parse(await response.json()).traffic;
      const { sentBytes = 0, receivedBytes = 0 } = counts[joined[0]?.peer ?? ''] ?? {};
      return sentBytes + receivedBytes;
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
