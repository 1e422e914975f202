import { machineName, packPrompt, silentLogger, type Logger } from '@skein/protocol';
import { generate } from '@skein/serving';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { takeDown } from '../support/take-down.ts';

let cluster: Cluster;
let model: Awaited<ReturnType<typeof tinyModelFile>>;

beforeAll(async () => {
  model = await tinyModelFile();
  cluster = await startCluster({ peers: 2, models: [model.path], logger });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const request = {
  prompt: packPrompt({ type: 'text', text: 'once upon a time' }),
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  stop: [],
};

/** Process ids of the engines, by stage, as their peers log them. */
const engines = new Map<number, number>();
const logger: Logger = {
  ...silentLogger,
  info: (fields) => {
    const engine = z.object({ pid: z.number(), stage: z.number() }).safeParse(fields);
    if (engine.success) engines.set(engine.data.stage, engine.data.pid);
  },
};

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function name(): Promise<string> {
  return (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
}

describe('a pipeline that loses a stage', () => {
  it.each([
    [0, () => 'the engine process of this stage'],
    [1, (tail: string) => `stage 2 of 2, on ${tail}, was lost`],
  ])(
    'ends its generations with an error and is deployed anew when the engine of stage %i is killed',
    async (victim, said) => {
      const { deployments } = cluster.coordinator;
      const { id, stages } = await deployments.deploy({ model: await name(), stages: 2 });
      const lead = stages[0]?.peer ?? '';
      const events = generate(cluster.coordinatorMesh, lead, { ...request, deployment: id, maxTokens: 400 });
      await events.next();
      process.kill(engines.get(victim) ?? 0, 'SIGKILL');
      const error: unknown = await Array.fromAsync(events).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'stage-lost', retryable: true });
      const tail = machineName(cluster.coordinatorMesh.cards.snapshot(), stages[1]?.peer ?? '');
      expect(error).toMatchObject({ message: expect.stringContaining(said(tail)) as string });

      const again = await fetch(`${cluster.coordinator.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: await name(), prompt: 'once', max_tokens: 3, temperature: 0 }),
      });
      expect(again.status, await again.clone().text()).toBe(200);
      expect(deployments.list().filter(({ state }) => state === 'ready')).toHaveLength(1);
      await takeDown(cluster.coordinator);
      await expect.poll(() => [...engines.values()].filter(isRunning), { timeout: 10_000 }).toEqual([]);
    },
  );
});
