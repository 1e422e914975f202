import { join } from 'node:path';

import { AdminClient, openCoordinator } from '@skein/client';
import { adminRoutes, type MeshStatus } from '@skein/protocol';
import { z } from 'zod';

import { engineOf } from '../bench/memory.ts';
import { runSkein, startSkein } from '../quickstart/skein-command.ts';
import { untilMembers } from '../quickstart/until-members.ts';

const upFacts = z.object({ pid: z.number(), peer: z.string(), url: z.string() });
const joinFacts = z.object({ pid: z.number(), peer: z.string() });
const invited = z.object({ invite: z.string() });
const quiet = ['--threads', '1', '--backend', 'cpu', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];

/** Two daemons in processes of their own, each with a replica of the model; the first coordinates. */
export interface LoadMesh extends AsyncDisposable {
  readonly url: string;
  /** Process ids of daemons and engines, by what they are. */
  readonly processes: Readonly<Record<string, number>>;
  status(): Promise<MeshStatus>;
}

/** Starts the daemons and deploys the replicas. */
export async function startLoadMesh(options: {
  /** Empty; data directories go there. */
  readonly directory: string;
  /** The model's file, and its name. */
  readonly path: string;
  readonly model: string;
  /** Answers at once of each replica. */
  readonly sequences: number;
  readonly signal: AbortSignal;
}): Promise<LoadMesh> {
  const { directory, path, model, sequences, signal } = options;
  await using stack = new AsyncDisposableStack();
  const machineOf = (name: string) => ({ machine: { name, data: join(directory, name) }, signal });
  const start = async (name: string, commandLine: readonly string[]) => {
    const running = stack.use(await startSkein([...commandLine, '--name', name, ...quiet], machineOf(name)));
    return running.facts;
  };
  await runSkein(['pull', path], machineOf('home'));
  const { url, ...home } = upFacts.parse(await start('home', ['up', '--port', '0']));
  const { invite } = invited.parse(await runSkein(['invite'], machineOf('home')));
  const attic = joinFacts.parse(await start('attic', ['join', invite]));
  await untilMembers(url, { peers: [home.peer, attic.peer], model, signal });
  const coordinator = openCoordinator({ url });
  // One after the other: the second one goes where the first one is not.
  for (let replica = 0; replica < 2; replica += 1)
    await coordinator.deploy({ model, sequences, stages: 1 }, { signal });
  const client = new AdminClient({ url });
  const processes = {
    coordinator: home.pid,
    peer: attic.pid,
    'engine of the coordinator': await engineOf(home.pid),
    'engine of the peer': await engineOf(attic.pid),
  };
  const running = stack.move();
  return {
    url,
    processes,
    status: async () => await client.ask(adminRoutes.status, {}, { signal }),
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
