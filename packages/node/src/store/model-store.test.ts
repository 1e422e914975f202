import { buffer } from 'node:stream/consumers';

import { limits } from '@skein/protocol';
import { expect, test } from 'vitest';

import { storeFixture } from './test-support/store-fixture.ts';

test('streams ranges in chunks that fit a frame', async () => {
  await using fixture = await storeFixture();
  const { store, file, content, sha256 } = fixture;
  await store.pull(file);
  const ranges = [
    { offset: 1000, bytes: 300_000 },
    { offset: 0, bytes: 10 },
  ];
  const chunks = await Array.fromAsync(store.readRanges(sha256, ranges));
  expect(Math.max(...chunks.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(limits.modelChunkBytes);
  expect(Buffer.concat(chunks)).toEqual(Buffer.concat([content.subarray(1000, 301_000), content.subarray(0, 10)]));
});

test.each([
  ['beyond the end', (size: number) => [{ offset: size - 1, bytes: 2 }]],
  ['with a negative offset', () => [{ offset: -1, bytes: 2 }]],
  ['with a number too great to add', () => [{ offset: 1, bytes: Number.MAX_SAFE_INTEGER }]],
  ['with a fraction', () => [{ offset: 0.5, bytes: 1 }]],
  ['that repeat the file', (size: number) => Array.from({ length: 2 }, () => ({ offset: 0, bytes: size }))],
])('reads no ranges %s', async (_, ranges) => {
  await using fixture = await storeFixture();
  const { store, content, sha256 } = fixture;
  await store.pull(fixture.file);
  const reading = buffer(store.readRanges(sha256, ranges(content.byteLength)));
  await expect(reading).rejects.toMatchObject({ code: 'protocol-violation' });
});

test('takes no path for a model', async () => {
  await using fixture = await storeFixture();
  await fixture.store.pull(fixture.file);
  const hostile = `../models/${fixture.sha256}`;
  await expect(fixture.store.path(hostile)).rejects.toMatchObject({ code: 'model-not-found' });
  await expect(buffer(fixture.store.readRanges(hostile, []))).rejects.toMatchObject({ code: 'model-not-found' });
  expect(await fixture.store.find(hostile)).toBeUndefined();
  expect(await fixture.store.savedManifest(hostile)).toBeUndefined();
});

test('keeps a manifest that another peer sent when its digest is the expected one', async () => {
  await using holder = await storeFixture();
  await using other = await storeFixture();
  await holder.store.pull(holder.file);
  const { encoded, digest, manifest } = await holder.store.manifest(holder.sha256);
  expect(await other.store.saveManifest(encoded, { digest })).toEqual(manifest);
  expect(await other.store.savedManifest(digest)).toEqual(manifest);
  expect(await other.store.list()).toEqual([]);

  const forged = Uint8Array.from(encoded);
  forged[forged.byteLength - 1] = (forged.at(-1) ?? 0) ^ 1;
  await expect(other.store.saveManifest(forged, { digest })).rejects.toMatchObject({ code: 'hash-mismatch' });
});

test('gives the same manifest for a file whoever pulls it', async () => {
  await using first = await storeFixture();
  await using second = await storeFixture();
  const held = await first.store.pull(first.file);
  expect(await second.store.pull(second.file)).toEqual(held);
});
