import { buffer } from 'node:stream/consumers';

import { createIdentity, createMesh, MeshSecret, type Mesh } from '@skein/mesh';
import { bytesRequestSchema, methods, SkeinError, type Section } from '@skein/protocol';
import { expect, test } from 'vitest';

import { fetchManifest } from './mesh-manifest.ts';
import { meshSectionSource } from './mesh-section-source.ts';
import { serveModels } from './serve-models.ts';
import { FakeMesh } from './test-support/fake-mesh.ts';
import { storeFixture } from './test-support/store-fixture.ts';
import type { TransferStream } from './transfer-stream.ts';

/** A mesh in which `holder` serves a model. */
async function meshFixture() {
  const fixture = await storeFixture();
  await fixture.store.pull(fixture.file);
  const { manifest, digest } = await fixture.store.manifest(fixture.sha256);
  const mesh = new FakeMesh();
  serveModels(mesh.server('holder'), fixture.store);
  const tensors = manifest.sections.filter(({ kind }) => kind === 'tensor');
  return {
    mesh,
    store: fixture.store,
    manifest,
    digest,
    model: fixture.sha256,
    tensors,
    expected: Buffer.concat(tensors.map(({ offset, bytes }) => fixture.content.subarray(offset, offset + bytes))),
    source: (holders: readonly string[], chunkTimeoutMs = 15_000) =>
      meshSectionSource({ model: fixture.sha256, holders, open: mesh.open, chunkTimeoutMs }),
    [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose](),
  };
}

/** Serves like the holder, but only so many frames of each answer before the stream is cut. */
function serveShortly(mesh: FakeMesh, peer: string, frames: number): void {
  mesh.handle(peer, methods.bytes, async (stream) => {
    await using upstream = await mesh.open('holder', methods.bytes, {});
    const request = await stream.read();
    await upstream.write(request?.header as object);
    for (let sent = 0; sent < frames; sent++) {
      const frame = await upstream.read();
      await stream.write(frame?.header as object, frame?.payload);
    }
    throw new SkeinError('peer-lost', 'gone');
  });
}

test('fetches a manifest whose digest is known, from the first holder that has it', async () => {
  await using fixture = await meshFixture();
  const { mesh, model, digest, manifest } = fixture;
  mesh.handle('liar', methods.manifest, async (stream) => {
    await stream.read();
    await stream.write({ type: 'manifest' }, Uint8Array.of(1, 2, 3));
  });
  const fetched = await fetchManifest({ model, digest, holders: ['absent', 'liar', 'holder'], open: mesh.open });
  expect(fetched.manifest).toEqual(manifest);
  expect(mesh.opened).toEqual(['absent', 'liar', 'holder']);
});

test('names every holder that has no such manifest', async () => {
  await using fixture = await meshFixture();
  const { mesh, digest } = fixture;
  const request = { model: '0'.repeat(64), digest, holders: ['absent', 'holder'], open: mesh.open };
  await expect(fetchManifest(request)).rejects.toMatchObject({
    code: 'model-unreachable',
    message: /absent: absent is not there\. holder: this machine does not hold/,
  });
});

test('streams sections in the order asked for and counts their bytes', async () => {
  await using fixture = await meshFixture();
  const { source, tensors, expected } = fixture;
  const fetching = source(['holder']);
  expect(await buffer(fetching.read(tensors, {}))).toEqual(expected);
  expect(fetching.fetchedBytes).toBe(expected.byteLength);
});

test('asks for sections that touch as one range', async () => {
  await using fixture = await meshFixture();
  const { mesh, source, tensors } = fixture;
  let ranges = 0;
  mesh.handle('counter', methods.bytes, async (stream: TransferStream) => {
    const request = await stream.read();
    ranges = bytesRequestSchema.parse(request?.header).ranges.length;
  });
  const adjacent = tensors.reduce(
    (count, { offset, bytes }, index) => count + Number(tensors[index + 1]?.offset === offset + bytes),
    0,
  );
  await expect(buffer(source(['counter'], 50).read(tensors, {}))).rejects.toMatchObject({ code: 'model-unreachable' });
  expect(adjacent).toBeGreaterThan(0);
  expect(ranges).toBe(tensors.length - adjacent);
});

test('goes on with the next holder at the byte where one was lost', async () => {
  await using fixture = await meshFixture();
  const { mesh, source, tensors, expected } = fixture;
  serveShortly(mesh, 'short', 1);
  const fetching = source(['absent', 'short', 'holder']);
  expect(await buffer(fetching.read(tensors, {}))).toEqual(expected);
  expect(fetching.fetchedBytes).toBe(expected.byteLength);
});

test('asks a holder again that was lost after it had been of use', async () => {
  await using fixture = await meshFixture();
  const { mesh, source, tensors, expected } = fixture;
  serveShortly(mesh, 'short', 2);
  expect(await buffer(source(['short']).read(tensors, {}))).toEqual(expected);
});

test('gives up on a holder that stalls or sends too much', async () => {
  await using fixture = await meshFixture();
  const { mesh, source, tensors, expected } = fixture;
  mesh.handle('silent', methods.bytes, () => Promise.withResolvers<void>().promise);
  mesh.handle('chatty', methods.bytes, async (stream) => {
    await stream.read();
    await stream.write({ type: 'model-bytes' }, new Uint8Array(expected.byteLength + 1));
  });
  expect(await buffer(source(['silent', 'chatty', 'holder'], 200).read(tensors, {}))).toEqual(expected);
});

test('tells the asker why ranges are refused', async () => {
  await using fixture = await meshFixture();
  const outside = { ...fixture.tensors[0], offset: 1e12 } as Section;
  await expect(buffer(fixture.source(['holder']).read([outside], {}))).rejects.toMatchObject({
    code: 'model-unreachable',
    message: /holder: the ranges asked for do not fit the model/,
  });
});

test('stops when it is aborted or left', async () => {
  await using fixture = await meshFixture();
  const { source, tensors } = fixture;
  const controller = new AbortController();
  const reading = (async () => {
    for await (const _ of source(['holder']).read(tensors, { signal: controller.signal })) controller.abort();
  })();
  await expect(reading).rejects.toMatchObject({ code: 'aborted' });
  for await (const chunk of source(['holder']).read(tensors, {})) {
    expect(chunk.byteLength).toBeGreaterThan(0);
    break;
  }
});

test('works over a real mesh', async () => {
  await using fixture = await meshFixture();
  await using members = await twoMembers();
  const { asking, serving } = members;
  serveModels(serving, fixture.store);
  const { model, digest, manifest, tensors, expected } = fixture;
  const request = { model, holders: [serving.peerId], open: asking.open.bind(asking) };
  expect((await fetchManifest({ ...request, digest })).manifest).toEqual(manifest);
  const source = meshSectionSource(request);
  expect(await buffer(source.read(tensors, {}))).toEqual(expected);
  const outside = { ...tensors[0], offset: 1e12 } as Section;
  await expect(buffer(source.read([outside], {}))).rejects.toThrow(/the ranges asked for do not fit the model/);
});

async function twoMembers(): Promise<AsyncDisposable & { readonly serving: Mesh; readonly asking: Mesh }> {
  const common = { secret: MeshSecret.generate(), roles: ['peer'], mdns: false, name: 'member' } as const;
  const serving = await createMesh({ ...common, identity: await createIdentity() });
  await serving.start();
  const peers = [...serving.addresses()];
  const asking = await createMesh({ ...common, identity: await createIdentity(), peers });
  await asking.start();
  return {
    serving,
    asking,
    async [Symbol.asyncDispose]() {
      await Promise.all([serving.stop(), asking.stop()]);
    },
  };
}
