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

/** Process ids of all engines that were loaded, by deployment and stage. */
const engines = new Map<string, number[]>();
const logger: Logger = {
  ...silentLogger,
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
    max_tokens: 500,
    temperature: 1,
    seed: 1,
    stream: true,
    stream_options: { include_usage: true },
    grammar: 'root ::= [a-z ]{5000,}',
    speculation: false,
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
    expect(answer.usage).toMatchObject({ completion_tokens: 500, failovers: 1 });
    expect(deployments.list()).toMatchObject([{ id, state: 'ready' }]);
    for (let stage = 0; stage < stages; stage += 1) {
      expect(pids(stage).map(isRunning)).toEqual(stage === victim ? [false, true] : [true]);
    }
    await deployments.undeploy(id);
  },
);
