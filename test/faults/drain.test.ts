import { silentLogger, type Logger } from '@skein/protocol';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { takeDown } from '../support/take-down.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;
let client: OpenAI;
let name: string;

/** Process ids of leads' engines, by deployment. */
const engines = new Map<string, number>();
const logger: Logger = {
  ...silentLogger,
  info: (fields) => {
    const loaded = z.object({ deployment: z.string(), stage: z.literal(0), pid: z.number() }).safeParse(fields);
    if (loaded.success) engines.set(loaded.data.deployment, loaded.data.pid);
  },
};

beforeAll(async () => {
  // Quantized weights are multiplied alike, however many rows there are at once.
  const model = stack.use(await tinyModelFile('llama', { weights: 'q8_0' }));
  cluster = stack.use(await startCluster({ peers: 3, models: [model.path], contextTokens: 2048, logger }));
  name = (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
  client = new OpenAI({ baseURL: `${cluster.coordinator.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(async () => await stack.disposeAsync());

/** Enough for an answer to be read along, and to move, before it ends. */
const answerTokens = 500;

/** Asks for an answer; calls back after its first piece. */
async function ask(seed: number, onFirst: () => void = () => undefined) {
  const stream = await client.completions.create({
    model: name,
    prompt: 'once upon a time',
    max_tokens: answerTokens,
    temperature: 1,
    seed,
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
  ['the only machine that serves', 1],
  ['the lead of a split model', 2],
])('answers go on, unchanged, while %s is drained', async (_, stages) => {
  const { deployments } = cluster.coordinator;
  const { id, stages: placed } = await deployments.deploy({ model: name, stages });
  const lead = placed[0]?.peer ?? '';
  const seeds = [1, 2];
  const whole = await Promise.all(seeds.map(async (seed) => await ask(seed)));
  const begun = seeds.map(() => Promise.withResolvers<void>());
  const answers = seeds.map(async (seed, index) => await ask(seed, begun[index]?.resolve));
  await Promise.all(begun.map(async ({ promise }) => await promise));
  // Its answers must not end before there is a replica to go on with.
  const engine = engines.get(id) ?? Number.NaN;
  process.kill(engine, 'SIGSTOP');
  const { moves } = await deployments.drain(lead, {
    onProgress: (status) => void (status.moves[0]?.step === 'handing-over' && process.kill(engine, 'SIGCONT')),
  });
  expect(moves).toMatchObject([{ id, step: 'gone' }]);
  const cards = cluster.coordinatorMesh.cards.snapshot();
  expect(cards.find(({ peer }) => peer === lead)).toMatchObject({ draining: true });
  const moved = await Promise.all(answers);
  expect(moved.map(({ text }) => text)).toEqual(whole.map(({ text }) => text));
  for (const { usage } of moved) expect(usage).toMatchObject({ completion_tokens: answerTokens, failovers: 1 });
  expect(deployments.list().flatMap((one) => one.stages.map(({ peer }) => peer))).not.toContain(lead);
  await deployments.undrain(lead);
  await takeDown(cluster.coordinator);
});
