import { silentLogger, type Logger } from '@skein/protocol';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;
let client: OpenAI;
let name: string;

/** Length of an answer: one of its stages dies long before its end. */
const maxTokens = 200;
/** Process ids of all engines that were loaded, by deployment and stage. */
const engines = new Map<string, number[]>();
/** Deployments that were asked for generations, in their order. */
const asked: string[] = [];
const logger: Logger = {
  ...silentLogger,
  debug: (fields, message) => {
    if (message === 'a generation begins') asked.push(z.object({ deployment: z.string() }).parse(fields).deployment);
  },
  info: (fields) => {
    const loaded = z.object({ deployment: z.string(), stage: z.number(), pid: z.number() }).safeParse(fields);
    if (!loaded.success) return;
    const { deployment, stage, pid } = loaded.data;
    const key = `${deployment}/${stage}`;
    engines.set(key, [...(engines.get(key) ?? []), pid]);
  },
};

beforeAll(async () => {
  // Quantized weights are multiplied alike, however many rows there are at once.
  const model = stack.use(await tinyModelFile('llama', { weights: 'q8_0' }));
  cluster = stack.use(await startCluster({ peers: 3, models: [model.path], contextTokens: 1024, logger }));
  name = (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
  client = new OpenAI({ baseURL: `${cluster.coordinator.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(async () => await stack.disposeAsync());

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Asks for an answer; calls back after its first piece. */
async function ask(onFirst: () => void = () => undefined) {
  const stream = await client.completions.create({
    model: name,
    prompt: 'once upon a time',
    max_tokens: maxTokens,
    temperature: 1,
    seed: 1,
    stream: true,
    stream_options: { include_usage: true },
    grammar: 'root ::= [a-z ]{5000,}',
  } as OpenAI.CompletionCreateParamsStreaming);
  let [text, usage]: [string, unknown] = ['', undefined];
  for await (const chunk of stream) {
    if (text === '' && chunk.choices[0]?.text) onFirst();
    text += chunk.choices[0]?.text ?? '';
    usage = chunk.usage ?? usage;
  }
  return { text, usage };
}

it.each([
  [2, 0],
  [3, 1],
])(
  'of %i stages the others keep their engines when that of stage %i dies, and the answer goes on',
  async (stages, victim) => {
    const { deployments } = cluster.coordinator;
    const { id } = await deployments.deploy({ model: name, stages });
    const pids = (stage: number): readonly number[] => engines.get(`${id}/${stage}`) ?? [];
    const whole = await ask();
    const answer = await ask(() => process.kill(pids(victim)[0] ?? Number.NaN, 'SIGKILL'));
    expect(answer.text).toBe(whole.text);
    expect(answer.usage).toMatchObject({ completion_tokens: maxTokens, failovers: 1 });
    expect(deployments.list()).toMatchObject([{ id, state: 'ready' }]);
    for (let stage = 0; stage < stages; stage += 1) {
      expect(pids(stage).map(isRunning)).toEqual(stage === victim ? [false, true] : [true]);
    }
    await deployments.undeploy(id);
  },
);

it('of 2 stages with a standby the answer goes on there when one dies, and new requests go to the replica again', async () => {
  const { deployments } = cluster.coordinator;
  const { id } = await deployments.deploy({ model: name, stages: 2 }, { scaling: { standby: 1 } });
  const readyLeads = () =>
    cluster.coordinatorMesh.cards
      .snapshot()
      .flatMap((card) => card.stages.filter(({ stage, state }) => stage === 0 && state === 'ready'));
  await expect.poll(readyLeads, { timeout: 30_000 }).toHaveLength(2);
  const standby = deployments.list().find(({ isStandby }) => isStandby === true)?.id;
  const whole = await ask();
  const [pid = Number.NaN] = engines.get(`${id}/1`) ?? [];
  const answer = await ask(() => process.kill(pid, 'SIGKILL'));
  expect(answer.text).toBe(whole.text);
  expect(answer.usage).toMatchObject({ completion_tokens: maxTokens, failovers: 1 });
  expect(asked.slice(-3)).toEqual([id, id, standby]);
  const askedLast = async () => {
    await client.completions.create({ model: name, prompt: 'once', max_tokens: 1 });
    return asked.at(-1);
  };
  await expect.poll(askedLast, { timeout: 30_000 }).toBe(id);
  expect(deployments.list()).toMatchObject([
    { id, state: 'ready' },
    { id: standby, state: 'ready', isStandby: true },
  ]);
  for (const one of [standby, id]) await deployments.undeploy(one ?? '');
});
