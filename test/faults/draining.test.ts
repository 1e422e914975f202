import { packPrompt } from '@skein/protocol';
import { generate } from '@skein/serving';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;
let name: string;

beforeAll(async () => {
  const model = stack.use(await tinyModelFile());
  cluster = stack.use(await startCluster({ peers: 2, models: [model.path], contextTokens: 4096 }));
  name = (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
});

afterAll(async () => await stack.disposeAsync());

/** Begins an answer; resolves with its reader once the first bytes are here. */
async function begin(maxTokens: number) {
  const response = await fetch(`${cluster.coordinator.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: name, prompt: 'once', max_tokens: maxTokens, temperature: 0, stream: true }),
  });
  if (response.body === null) throw new Error('an answer without a body');
  const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const first = (await chunks.read()).value ?? '';
  return {
    async rest(): Promise<string> {
      let text = first;
      for (let next = await chunks.read(); !next.done; next = await chunks.read()) text += next.value;
      return text;
    },
  };
}

const remove = async (id: string, query = '') =>
  await fetch(`${cluster.coordinator.url}/skein/v1/deployments/${id}${query}`, { method: 'DELETE' });

it('lets the answers of a pipeline come to their ends, for the coordinator and for those who ask the lead', async () => {
  const { deployments } = cluster.coordinator;
  const { id, stages } = await deployments.deploy({ model: name, stages: 2 });
  const lead = stages[0]?.peer ?? '';
  const client = await cluster.join(['client']);
  await expect.poll(() => client.connectedPeers()).toContain(lead);
  const answer = await begin(2000);
  const removed = remove(id);
  await expect.poll(() => deployments.list()[0]?.state).toBe('draining');
  // As an SDK member does, by a card from before.
  const late = generate(client, lead, {
    deployment: id,
    prompt: packPrompt({ type: 'text', text: 'once' }),
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    stop: [],
  });
  await expect(late.next()).rejects.toMatchObject({ code: 'not-deployed' });
  const text = await answer.rest();
  expect(text).toContain('"finish_reason":"length"');
  expect(text).toMatch(/\[DONE\]\s*$/);
  expect((await removed).status).toBe(204);
  expect(deployments.list()).toEqual([]);
});

it('cuts the answers with an error when that is asked for', async () => {
  const { id } = await cluster.coordinator.deployments.deploy({ model: name, stages: 2 });
  const answer = await begin(2000);
  expect((await remove(id, '?now=true')).status).toBe(204);
  expect(await answer.rest()).toMatch(/"code":"(stage_lost|not_deployed)"/);
  expect(cluster.coordinator.deployments.list()).toEqual([]);
});
