import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import { z } from 'zod';

import { processesOf, runVariable } from '../faults/processes.ts';
import { runSkein, startSkein, type Machine, type RunningSkein } from '../quickstart/skein-command.ts';

const factsSchema = z.object({ pid: z.number(), peer: z.string(), url: z.string().optional() });

/** A daemon that can be killed and started again. */
export interface House {
  /** URL of the coordinator's API. */
  readonly url: string;
  /** Peer ids of the machines that serve. */
  readonly peers: readonly string[];
  /** Returns the process ids of a peer's engines. */
  readonly enginesOf: (peer: string) => Promise<readonly number[]>;
  /** Kills a peer's daemon, and waits until it has ended. */
  readonly killPeer: (peer: string) => Promise<void>;
  /** Starts a killed peer's daemon again. */
  readonly startPeer: (peer: string) => Promise<void>;
}

/** The peers, and the processor that each has to itself: what one machine loads must not slow another one down. */
const processors = new Map([
  ['attic', '0'],
  ['cellar', '1'],
]);
const names = [...processors.keys()];
const listening = ['--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];

/** Starts a coordinator and two peers that hold a model, all on this machine, which end with the stack. */
export async function startHouse(
  stack: AsyncDisposableStack,
  options: { readonly directory: string; readonly model: string; readonly signal: AbortSignal },
): Promise<House> {
  const { directory, model, signal } = options;
  const run = randomUUID();
  const machineOf = (name: string): Machine => ({
    name,
    data: join(directory, name),
    run: (command, commandLine) => {
      const processor = processors.get(name);
      const pinned = processor === undefined ? [] : ['taskset', '--cpu-list', processor];
      const [program = command, ...words] = [...pinned, command, ...commandLine];
      return spawn(program, words, { env: { ...process.env, [runVariable]: run } });
    },
  });
  const start = async (name: string, commandLine: readonly string[]) => {
    const skein = await startSkein([...commandLine, ...listening], { machine: machineOf(name), signal });
    return { skein, ...factsSchema.parse(skein.facts) };
  };
  await Promise.all(names.map(async (name) => await runSkein(['pull', model], { machine: machineOf(name), signal })));
  const home = await start('home', ['up', '--no-serve', '--port', '0', '--name', 'home']);
  stack.use(home.skein);
  const printed = await runSkein(['invite', '--uses', `${names.length}`], { machine: machineOf('home'), signal });
  const { invite } = z.object({ invite: z.string() }).parse(printed);
  const peers = new Map<string, { readonly name: string; pid: number; skein: RunningSkein }>();
  stack.defer(
    async () => void (await Promise.all([...peers.values()].map(({ skein }) => skein[Symbol.asyncDispose]()))),
  );
  const flags = (name: string) => ['--name', name, '--backend', 'cpu', '--threads', '1'];
  for (const name of names) {
    const { peer, pid, skein } = await start(name, ['join', invite, ...flags(name)]);
    peers.set(peer, { name, pid, skein });
  }
  const peerOf = (peer: string) => {
    const found = peers.get(peer);
    if (found === undefined) throw new RangeError(`${peer} is none of the peers`);
    return found;
  };
  return {
    url: home.url ?? '',
    peers: [...peers.keys()],
    enginesOf: async (peer) =>
      (await processesOf(run)).flatMap(({ pid, parent, isEngine }) =>
        isEngine && parent === peerOf(peer).pid ? [pid] : [],
      ),
    killPeer: async (peer) => {
      const { pid, skein } = peerOf(peer);
      process.kill(pid, 'SIGKILL');
      await skein[Symbol.asyncDispose]();
    },
    startPeer: async (peer) => {
      const { name } = peerOf(peer);
      Object.assign(peerOf(peer), await start(name, ['join', ...flags(name)]));
    },
  };
}
