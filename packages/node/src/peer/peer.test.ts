import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Authority, createMesh } from '@skein/mesh';
import { methods, plannedSpecSchema, type StageLoad } from '@skein/protocol';
import { expect, it } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openStore } from '../store/index.ts';
import { createPeer } from './peer.ts';

it('tells the mesh what it has, and can be started again after it was stopped', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-peer-'));
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const mesh = await createMesh({ ...(await enroll()), roles: ['peer'], mdns: false });
  await mesh.start();
  const store = await openStore(directory.path);
  const peer = createPeer({ mesh, store, directory: directory.path, backend: 'cpu' });
  try {
    await peer.start();
    expect(mesh.cards.snapshot()[0]).toMatchObject({ hardware: { backend: 'cpu' }, models: [] });
    const { model } = await store.pull(file);
    await peer.announceModels();
    expect(mesh.cards.snapshot()[0]?.models).toMatchObject([{ model }]);
    await mesh.freshCard(mesh.peerId);
    await peer.stop();
    await expect(mesh.freshCard(mesh.peerId)).rejects.toMatchObject({ code: 'not-running' });
    await peer.start();
    expect(mesh.cards.snapshot()[0]?.models).toMatchObject([{ model }]);
  } finally {
    await peer.stop();
    await mesh.stop();
  }
});

it('tells how fast each stage is, and how much memory its keys and values take', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-peer-'));
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const mesh = await createMesh({ ...(await enroll()), roles: ['peer'], mdns: false });
  await mesh.start();
  const store = await openStore(directory.path);
  const peer = createPeer({ mesh, store, directory: directory.path, backend: 'cpu', threads: 1 });
  try {
    await peer.start();
    const { model } = await store.pull(file);
    const { manifest, digest } = await store.manifest(model);
    const { layers, kvBytesPerTokenPerLayer } = manifest.shape;
    const placement = { backend: 'cpu', devices: [], cpuLayers: layers, fallbacks: [] };
    const load = async (cacheType?: 'q8_0') => {
      await using stream = await mesh.open(mesh.peerId, methods.stage);
      await stream.write({
        type: 'stage-load',
        deployment: `deployment-${cacheType ?? 'f16'}`.replace('_', '-'),
        manifest: digest,
        name: 'tiny',
        stage: 0,
        stages: 1,
        block: { from: 0, to: layers },
        sources: [mesh.peerId],
        spec: plannedSpecSchema.parse({ model, contextTokens: 256, sequences: 1, cacheType }),
      } satisfies StageLoad);
      for (let frame = await stream.read(); frame !== undefined; frame = await stream.read()) {
        const { type } = frame.header as { type: string };
        expect(['stage-progress', 'stage-ready']).toContain(type);
        if (type !== 'stage-ready') continue;
        expect(frame.header).toMatchObject({ placement });
        break;
      }
      const stage = mesh.cards
        .snapshot()[0]
        ?.stages.find(({ deployment }) => deployment.endsWith(cacheType === undefined ? 'f16' : 'q8-0'));
      expect(stage).toMatchObject({ state: 'ready', placement });
      expect(stage?.speed?.decodeMsPerLayer).toBeGreaterThan(0);
      expect(mesh.cards.snapshot()[0]?.hardware?.speeds).toMatchObject([{ backend: 'cpu', prefillRows: 16 }]);
      return stage?.bytes ?? 0;
    };
    const swapTokens = 256;
    const f16Bytes = kvBytesPerTokenPerLayer * layers * (256 + swapTokens);
    expect((await load()) - (await load('q8_0'))).toBe(Math.floor(f16Bytes * (1 - 34 / 64)));
  } finally {
    await peer.stop();
    await mesh.stop();
  }
});

async function enroll() {
  return await (await Authority.ephemeral()).enroll(['peer']);
}
