import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { generate } from '@skein/mesh';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

const run = promisify(execFile);

let cluster: Cluster;
let model: Awaited<ReturnType<typeof tinyModelFile>>;

beforeAll(async () => {
  model = await tinyModelFile();
  cluster = await startCluster({ peers: 2, models: [model.path] });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const request = {
  prompt: { type: 'text', text: 'once upon a time' } as const,
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  stop: [],
};

/** Process ids of the engines that this process has started. */
async function engines(): Promise<number[]> {
  const { stdout } = await run('ps', ['--ppid', String(process.pid), '-o', 'pid=,args=']);
  return stdout
    .split('\n')
    .filter((line) => line.includes('child/main.ts'))
    .map((line) => Number.parseInt(line, 10));
}

async function name(): Promise<string> {
  return (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
}

describe('a pipeline that loses a stage', () => {
  it.each([0, 1])(
    'ends its generations with an error and is deployed anew when engine %i is killed',
    async (victim) => {
      const { deployments } = cluster.coordinator;
      const { id, stages } = await deployments.deploy({ model: await name(), stages: 2 });
      const lead = stages[0]?.peer ?? '';
      const events = generate(cluster.coordinatorMesh, lead, { ...request, deployment: id, maxTokens: 400 });
      await events.next();
      process.kill((await engines())[victim] ?? 0, 'SIGKILL');
      await expect(Array.fromAsync(events)).rejects.toMatchObject({ code: 'stage-lost', retryable: true });

      const again = await fetch(`${cluster.coordinator.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: await name(), prompt: 'once', max_tokens: 3, temperature: 0 }),
      });
      expect(again.status, await again.clone().text()).toBe(200);
      expect(deployments.list().filter(({ state }) => state === 'ready')).toHaveLength(1);
      for (const { id: left } of deployments.list()) await deployments.undeploy(left);
      expect(await engines()).toEqual([]);
    },
  );
});
