import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { connect, openCoordinator, type SkeinClient } from '@skein/client';
import { formatBytes } from '@skein/protocol';
import { z } from 'zod';

import { measured, type Measurement } from '../../packages/cli/src/commands/measured.ts';
import { getModel } from './model.ts';
import { runSkein, startSkein, type CommandOptions, type Machine } from './skein-command.ts';
import { untilMembers } from './until-members.ts';

const upFacts = z.object({ url: z.string() });
const invited = z.object({ invite: z.string() });
/**
 * Threads of an engine. The simulated machines share this one's cores: engines that wait for one another must not take
 * them all.
 */
const threads = String(Math.max(1, Math.floor(availableParallelism() / 2)));
const joinFacts = z.object({ peer: z.string() });
const pulled = z.object({ name: z.string() });
const deployed = z.object({
  id: z.string(),
  stages: z.array(z.object({ peer: z.string(), block: z.object({ from: z.number(), to: z.number() }) })),
});
const status = z.object({
  traffic: z.object({ total: z.object({ sentBytes: z.number(), receivedBytes: z.number() }) }),
});

const question = 'Why is the sky blue? Answer in two sentences.';
/** Settings of a greedy answer, so that the same question gets the same answer, token for token. */
const settings = { maxTokens: 64, temperature: 0 };

export interface QuickstartOptions {
  /** Empty directory for everything but the model. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** Reports a step, in one line. */
  readonly say: (line: string) => void;
  /** Receives the answer, piece by piece. */
  readonly onText: (text: string) => void;
}

/** The output of `npm run quickstart -- --json`. */
export interface QuickstartResult {
  readonly text: string;
  /** Name of the model. */
  readonly model: string;
  /** Peers with their layers: from the first up to, not including, the last number. */
  readonly stages: readonly { readonly peer: string; readonly layers: readonly [from: number, to: number] }[];
  readonly tokensPerSecond: number;
  readonly ttftMs: number;
  /** Whether a single peer with the whole model gave the same text for the same question. */
  readonly identicalToWholeModel: boolean;
}

/**
 * Starts a coordinator and three peers as separate processes on this machine, one of which has a model; deploys it over
 * two of them, asks it, and then asks the same of the whole model on one of them.
 */
export async function quickstart(options: QuickstartOptions): Promise<QuickstartResult> {
  const { directory, signal, say } = options;
  const machine = (name: string): Machine => ({ name, data: join(directory, name) });
  const on = (machine: Machine): CommandOptions => ({ machine, signal });
  const home = machine('home');
  const peers = ['attic', 'cellar', 'study'].map(machine);
  const [attic = home] = peers;

  const { path, isMeaningful } = await getModel(options);
  const { name: model } = pulled.parse(await runSkein(['pull', path], on(attic)));
  say(`attic has ${model}; cellar and study have no model`);

  await using stack = new AsyncDisposableStack();
  const local = ['--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
  const start = async (machine: Machine, commandLine: readonly string[]) =>
    stack.use(await startSkein([...commandLine, ...local, '--name', machine.name], on(machine))).facts;
  const { url } = upFacts.parse(await start(home, ['up', '--no-serve', '--port', '0']));
  const { invite } = invited.parse(await runSkein(['invite', '--uses', `${peers.length}`], on(home)));
  say(`home coordinates; its API is at ${url}/v1`);
  const facts = await Promise.all(
    peers.map(async (peer) => joinFacts.parse(await start(peer, ['join', invite, '--threads', threads]))),
  );
  await untilMembers(url, { peers: facts.map(({ peer }) => peer), model, signal });
  say('attic, cellar and study have joined');
  const nameOf = (peer: string) => peers[facts.findIndex((fact) => fact.peer === peer)]?.name ?? peer;

  say(`deploying ${model} over two of them; the layers that one lacks it gets from attic`);
  const split = deployed.parse(await runSkein(['deploy', model, '--stages', '2'], on(home)));
  for (const { peer, block } of split.stages) say(`${nameOf(peer)} holds layers ${block.from} to ${block.to - 1}`);
  await using client = await connect({ url, signal });
  say(isMeaningful ? question : `${question} (random weights: the answer means nothing)`);
  const answer = await ask(client, model, options);

  for (const peer of peers) {
    const { total } = status.parse(await runSkein(['status'], on(peer))).traffic;
    const [sent, received] = [formatBytes(total.sentBytes), formatBytes(total.receivedBytes)];
    say(`${peer.name} sent ${sent} and received ${received} over the network, all encrypted (Noise)`);
  }
  await openCoordinator({ url }).undeploy(split.id, { signal });
  const whole = deployed.parse(await runSkein(['deploy', model, '--stages', '1'], on(home)));
  say(`the same again, with the whole model on ${whole.stages.map(({ peer }) => nameOf(peer)).join()}`);
  const reference = await ask(client, model, { signal, onText: () => undefined });
  return {
    text: answer.text,
    model,
    stages: split.stages.map(({ peer, block }) => ({ peer, layers: [block.from, block.to] })),
    tokensPerSecond: answer.tokensPerSecond,
    ttftMs: answer.ttftMs,
    identicalToWholeModel: answer.text === reference.text && isSameLength(answer, reference),
  };
}

async function ask(
  client: SkeinClient,
  model: string,
  { signal, onText }: Pick<QuickstartOptions, 'signal' | 'onText'>,
): Promise<Measurement> {
  const messages = [{ role: 'user' as const, content: question }];
  const answer = measured(client.chat({ model, messages, ...settings }, { signal }));
  for await (const piece of answer.text) onText(piece);
  return await answer.result();
}

function isSameLength(one: Measurement, other: Measurement): boolean {
  return one.usage.completionTokens === other.usage.completionTokens;
}
