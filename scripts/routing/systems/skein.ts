import { join } from 'node:path';

import { openCoordinator } from '@skein/client';
import { z } from 'zod';

import { runSkein, startSkein } from '../../quickstart/skein-command.ts';
import { untilMembers } from '../../quickstart/until-members.ts';
import type { ChatEndpoint } from '../ask.ts';
import { machines, replicaShape, type System, type SystemContext } from './system.ts';

const upFacts = z.object({ peer: z.string(), url: z.string() });
const joinFacts = z.object({ peer: z.string() });
const invited = z.object({ invite: z.string() });
const pulled = z.object({ name: z.string() });
const daemonFlags = ['--threads', '1', '--backend', 'cpu', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
/** Both sides compute every token: speculation would have one side do other work than the other. */
const parameters = { speculation: false };

/** One mesh of three machines with a replica each, of which the first coordinates and routes. */
export const skein: System = {
  name: 'Skein',
  async start({ model, directory, signal }) {
    await using stack = new AsyncDisposableStack();
    const machineOf = (name: string) => ({ machine: { name, data: join(directory, name) }, signal });
    const start = async (name: string, commandLine: readonly string[]) =>
      stack.use(await startSkein([...commandLine, '--name', name, ...daemonFlags], machineOf(name))).facts;
    const [home, ...others] = machines;
    const { name } = pulled.parse(await runSkein(['pull', model.path], machineOf(home)));
    const { url, peer } = upFacts.parse(await start(home, ['up', '--port', '0']));
    const peers = [peer];
    for (const other of others) {
      const { invite } = invited.parse(await runSkein(['invite'], machineOf(home)));
      peers.push(joinFacts.parse(await start(other, ['join', invite])).peer);
    }
    await untilMembers(url, { peers, model: name, signal });
    const coordinator = openCoordinator({ url });
    // One after the other: each goes where the others are not.
    for (const _ of machines) await coordinator.deploy({ model: name, stages: 1, ...replicaShape }, { signal });
    const running = stack.move();
    return { url, model: name, parameters, [Symbol.asyncDispose]: async () => await running.disposeAsync() };
  },
};

/** Starts a machine that is a mesh by itself, with a replica of its own. */
export async function startSingle(
  name: string,
  { model, directory, signal }: SystemContext,
): Promise<ChatEndpoint & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const options = { machine: { name, data: join(directory, name) }, signal };
  const { name: pulledName } = pulled.parse(await runSkein(['pull', model.path], options));
  const daemon = stack.use(await startSkein(['up', '--port', '0', '--name', name, ...daemonFlags], options));
  const { url, peer } = upFacts.parse(daemon.facts);
  await untilMembers(url, { peers: [peer], model: pulledName, signal });
  await openCoordinator({ url }).deploy({ model: pulledName, stages: 1, ...replicaShape }, { signal });
  const running = stack.move();
  return { url, model: pulledName, parameters, [Symbol.asyncDispose]: async () => await running.disposeAsync() };
}
