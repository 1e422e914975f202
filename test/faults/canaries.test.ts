import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { Canaries } from '../../packages/coordinator/src/canaries/index.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;

beforeAll(async () => {
  const model = stack.use(await tinyModelFile());
  cluster = stack.use(await startCluster({ peers: 3, models: [model.path], contextTokens: 256 }));
});

afterAll(async () => await stack.disposeAsync());

/** Overwrites the last part of the largest file in a directory, which holds weights, as a failing disk may. */
async function damageWeights(directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true });
  const sized = await Promise.all(
    names
      .filter((name) => name.endsWith('.gguf'))
      .map(async (name) => ({ path: join(directory, name), bytes: (await stat(join(directory, name))).size })),
  );
  const [largest] = sized.toSorted((one, other) => other.bytes - one.bytes);
  if (largest === undefined) throw new Error('there is no file of weights');
  const damagedBytes = Math.floor(largest.bytes / 2);
  await using file = await open(largest.path, 'r+');
  // The byte 0x30 in all of them: numbers that are finite in f16 and f32, and others than before.
  await file.write(Buffer.alloc(damagedBytes, 0x30), 0, damagedBytes, largest.bytes - damagedBytes);
}

it('finds the replica whose weights were damaged under it, and no other, and has it replaced elsewhere', async () => {
  const { coordinator, coordinatorMesh, peers } = cluster;
  const model = (await peers[0]?.store.list())?.[0]?.name ?? '';
  const replicas = [];
  for (const _ of peers) replicas.push(await coordinator.deployments.deploy({ model }));
  expect(new Set(replicas.map(({ stages }) => stages[0]?.peer)).size).toBe(3);
  const reports: string[] = [];
  let nowMs = 0;
  const canaries = new Canaries({
    mesh: coordinatorMesh,
    deployments: coordinator.deployments,
    schedule: () => ({ [Symbol.dispose]: () => undefined }),
    now: () => nowMs,
    random: Math.random,
    newId: () => crypto.randomUUID(),
    onReport: ({ deployment, verdict }) => reports.push(`${deployment.id} ${verdict}`),
    onError: (error) => reports.push(error.message),
  });
  const leads = () => coordinatorMesh.cards.snapshot().flatMap(({ stages }) => stages);
  await expect.poll(() => leads().filter(({ state }) => state === 'ready')).toHaveLength(3);
  await canaries.look();
  expect(reports).toEqual([]);

  const damaged = replicas.find(({ stages }) => stages[0]?.peer === peers[2]?.mesh.peerId);
  await damageWeights(peers[2]?.directory ?? '');
  nowMs = 600_000;
  await expect.poll(() => leads().every(({ active }) => active === 0)).toBe(true);
  await canaries.look();
  expect(reports).toEqual([`${damaged?.id} out`]);
  const shown = coordinatorMesh.cards.snapshot().flatMap(({ doubts = [] }) => doubts);
  const wrong = peers[2]?.mesh.peerId ?? '';
  expect(shown).toEqual([{ deployment: damaged?.id, isOut: true, taken: { name: model, peers: [wrong] } }]);
  // Three were asked for: there is a third again, on a machine whose weights are right, and the wrong one is gone.
  await expect
    .poll(() => leads().map(({ deployment, state }) => [deployment === damaged?.id, state]), { timeout: 20_000 })
    .toEqual([0, 1, 2].map(() => [false, 'ready']));
  const cards = coordinatorMesh.cards.snapshot();
  expect(cards.find(({ peer }) => peer === wrong)?.stages).toEqual([]);
  expect(cards.flatMap(({ doubts = [] }) => doubts)).toEqual(shown);
  await canaries.look();
  expect(reports).toHaveLength(1);
});
