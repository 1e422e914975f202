import { afterAll, beforeAll, expect, it } from 'vitest';

import { httpAttacks } from '../../scripts/attacks/http/cases/index.ts';
import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;
let model: string;

beforeAll(async () => {
  const file = stack.use(await tinyModelFile());
  cluster = stack.use(await startCluster({ peers: 1, models: [file.path] }));
  model = cluster.coordinatorMesh.cards.snapshot().flatMap((card) => card.models)[0]?.name ?? '';
  await cluster.coordinator.deployments.deploy({ model });
});
afterAll(async () => await stack.disposeAsync());

// `npm run attacks` measures how long others wait meanwhile, and what memory it takes.
it.each(httpAttacks.filter(({ isHeavy }) => isHeavy !== true))('refuses or serves $name', async (attack) => {
  const { url } = cluster.coordinator;
  await attack.run({ url, model, port: Number(new URL(url).port) });
  expect(cluster.coordinator.deployments.list().map(({ state }) => state)).toEqual(['ready']);
});

it('has attacks of every kind', () => {
  expect(httpAttacks.length).toBeGreaterThanOrEqual(30);
  expect(new Set(httpAttacks.map(({ name }) => name)).size).toBe(httpAttacks.length);
});
