import { encodeValue, machineName, methods, shortPeer, SkeinError, type ModelManifest } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { StreamHandler } from '../connections/serve.ts';
import { createIdentity } from '../identity/identity.ts';
import type { Mesh } from '../mesh.ts';
import { Cluster } from '../testing/cluster.ts';
import { decodeManifest } from './encoded-manifest.ts';
import { fetchManifest } from './fetch-manifest.ts';

const manifest: ModelManifest = {
  model: 'a'.repeat(64),
  bytes: 64,
  name: 'tiny',
  shape: {
    architecture: 'llama',
    layers: 2,
    hiddenSize: 8,
    vocabularySize: 16,
    contextLength: 32,
    kvBytesPerTokenPerLayer: 32,
    split: { allowed: true, multiple: 1 },
  },
  sections: [{ kind: 'metadata', name: 'general.name', offset: 24, bytes: 40, sha256: 'b'.repeat(64) }],
};
const { encoded, digest } = decodeManifest(encodeValue(manifest));

let cluster: Cluster;
let holder: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  holder = await cluster.add();
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

const answering =
  (payload: Uint8Array): StreamHandler =>
  async (stream) => {
    const request = await stream.read();
    expect(request?.header).toEqual({ type: 'manifest-request', model: manifest.model });
    await stream.write({ type: 'manifest' }, payload);
  };

/** The peer id of nobody. */
async function absentPeer(): Promise<string> {
  return (await createIdentity()).peerId;
}

test('fetches a manifest whose digest is known, from the first holder that has it', async () => {
  const absent = await absentPeer();
  const liar = await cluster.add();
  liar.handle(methods.manifest, answering(Uint8Array.of(1, 2, 3)));
  holder.handle(methods.manifest, answering(encoded));
  const asking = await cluster.add([liar, holder]);
  const opened: string[] = [];
  const fetched = await fetchManifest({
    model: manifest.model,
    digest,
    holders: [absent, liar.peerId, holder.peerId, 'never asked'],
    mesh: {
      cards: asking.cards,
      open: async (peerId, method, options) => {
        opened.push(peerId);
        return await asking.open(peerId, method, options);
      },
    },
  });
  expect(fetched.manifest).toEqual(manifest);
  expect(opened).toEqual([absent, liar.peerId, holder.peerId]);
});

test('names every holder that has no such manifest', async () => {
  const absent = await absentPeer();
  holder.handle(methods.manifest, async () => {
    throw new SkeinError('model-not-found', 'this machine does not hold the model');
  });
  const asking = await cluster.add([holder]);
  await expect.poll(() => asking.cards.snapshot()).toHaveLength(2);
  const holders = [absent, holder.peerId];
  const nobody = `…${shortPeer(absent)}`;
  const fetching = fetchManifest({ model: manifest.model, digest, holders, mesh: asking });
  await expect(fetching).rejects.toMatchObject({
    code: 'model-unreachable',
    message: expect.stringContaining(
      `${nobody}: ${nobody} is not connected and has no known address. ${machineName(asking.cards.snapshot(), holder.peerId)}: this machine does not hold`,
    ),
  });
});
