import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Block } from '@skein/protocol';
import { expect, it } from 'vitest';

import { planStageFile, sectionsOf } from '../../packages/node/src/stage-file/index.ts';
import { startCluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

it('brings a peer without the model exactly the sections of its stage, once', async () => {
  await using model = await tinyModelFile();
  await using cluster = await startCluster({ peers: 2, models: [model.path] });
  const [holder, other] = cluster.peers;
  const [held] = (await holder?.store.list()) ?? [];
  if (holder === undefined || other === undefined || held === undefined) throw new Error('no cluster');
  const { manifest } = await holder.store.manifest(held.model);
  const { deployments } = cluster.coordinator;
  const sectionBytes = (block: Block, kind: 'stage' | 'front'): number =>
    sectionsOf(planStageFile(manifest, block, kind)).reduce((sum, { bytes }) => sum + bytes, 0);

  // Their free memory and speed decide who leads; by the third deployment each lead has led before.
  const cached = new Set<string>();
  for (let round = 0; round < 3; round += 1) {
    const { id, stages } = await deployments.deploy({ model: held.model, layers: [1, manifest.shape.layers - 1] });
    const index = stages.findIndex(({ peer }) => peer === other.mesh.peerId);
    const stage = stages[index];
    if (stage === undefined) throw new Error('the peer without the model holds no stage');
    const key = `${stage.block.from}-${stage.block.to}`;
    const wholeBytes = sectionBytes(stage.block, 'stage') + (index === 0 ? sectionBytes(stage.block, 'front') : 0);
    expect(wholeBytes).toBeLessThan(manifest.bytes);
    expect(stage.fetchedBytes).toBe(cached.has(key) ? 0 : wholeBytes);
    expect(stages[1 - index]?.fetchedBytes).toBe(0);
    cached.add(key);
    await deployments.undeploy(id);
  }
  expect(await readdir(join(other.directory, 'models'))).toEqual([]);
});
