import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createIdentity, createMesh, MeshSecret } from '@skein/mesh';
import { expect, it } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openStore } from '../store/index.ts';
import { createPeer } from './peer.ts';

it('tells the mesh what it has, and can be started again after it was stopped', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-peer-'));
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const secret = MeshSecret.generate();
  const mesh = await createMesh({ secret, roles: ['peer'], identity: await createIdentity(), mdns: false });
  await mesh.start();
  const store = await openStore(directory.path);
  const peer = createPeer({ mesh, store, directory: directory.path, backend: 'cpu' });
  try {
    await peer.start();
    expect(mesh.cards.snapshot()[0]).toMatchObject({ hardware: { backend: 'cpu' }, models: [] });
    const { model } = await store.pull(file);
    await peer.announceModels();
    expect(mesh.cards.snapshot()[0]?.models).toMatchObject([{ model }]);
    await peer.stop();
    await peer.start();
    expect(mesh.cards.snapshot()[0]?.models).toMatchObject([{ model }]);
  } finally {
    await peer.stop();
    await mesh.stop();
  }
});
