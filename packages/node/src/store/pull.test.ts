import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, copyFile, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { encodeValue, SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { checkModel } from '../engine/process/check-model.ts';
import { startFileServer } from '../sources/test-support/file-server.ts';
import { catalogReference, fromServer, storeFixture } from './test-support/store-fixture.ts';

const reference = 'hf:owner/model/tiny.gguf';

test('copies a local file and finds it by its name and its hash', async () => {
  await using fixture = await storeFixture();
  const { store, file, content, sha256 } = fixture;
  const steps = new Set<string>();
  const held = await store.pull(file, { onProgress: ({ phase, source }) => void steps.add(`${phase} ${source}`) });
  expect([...steps]).toEqual(['copy tiny.gguf', 'verify tiny.gguf']);
  expect(held).toMatchObject({ model: sha256, name: 'tiny', bytes: content.byteLength });
  expect(await store.list()).toEqual([held]);
  expect(await store.find('Tiny')).toEqual(held);
  expect(await store.find(sha256)).toEqual(held);
  expect(await readFile(await store.path(sha256))).toEqual(content);
  expect(await readFile(file)).toEqual(content);
  expect(await (await fixture.openAgain()).list()).toEqual([held]);
  expect(await fixture.files()).toEqual([`${sha256}.gguf`, `${sha256}.manifest`, 'names.json']);
});

test('tells the names that a model was pulled as, and never a path', async () => {
  await using fixture = await storeFixture();
  const { store, file } = fixture;
  const copy = join(dirname(file), 'Second.gguf');
  await copyFile(file, copy);
  const held = await store.pull(file);
  await store.pull(copy);
  expect(await store.list()).toEqual([{ ...held, aliases: ['second'] }]);
  expect(await store.find('SECOND')).toMatchObject({ model: held.model });
});

test('downloads with progress, and verifies before the model is held', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  const { store, content, sha256 } = fixture;
  server.behaviour.content = content;
  server.behaviour.linkedSha256 = sha256;
  const phases: string[] = [];
  const verified: number[] = [];
  const totals = new Set<number>();
  const held = await store.pull(reference, {
    onProgress: ({ phase, doneBytes, totalBytes }) => {
      totals.add(totalBytes);
      if (phase === 'verify') verified.push(doneBytes);
      if (doneBytes === totalBytes) phases.push(phase);
    },
  });
  expect([...totals]).toEqual([content.byteLength]);
  expect(phases).toEqual(['download', 'verify']);
  // All bytes were hashed on their way: none is read again for that.
  expect(verified).toEqual([content.byteLength]);
  expect(held.model).toBe(sha256);
  expect(await store.find(reference)).toEqual({ ...held, aliases: [reference] });
});

test('goes on when the callback that shows its progress throws', async () => {
  const warned = once(process, 'warning');
  await using fixture = await storeFixture();
  const broken = () => {
    throw new Error('broken callback');
  };
  expect(await fixture.store.pull(fixture.file, { onProgress: broken })).toMatchObject({ model: fixture.sha256 });
  expect(await warned).toEqual([new Error('broken callback')]);
});

test('gives what was pulled before while its source is out of reach', async () => {
  const server = await startFileServer({ content: new Uint8Array(0) });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  server.behaviour.content = fixture.content;
  const held = await fixture.store.pull(reference);
  await server[Symbol.asyncDispose]();
  expect(await fixture.store.pull(reference)).toEqual(held);
});

test('goes on where an aborted pull stopped', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0), stallsAfterBytes: 100_000 });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  const { store, content, sha256 } = fixture;
  server.behaviour.content = content;
  const model = catalogReference(content, [fromServer]);
  const controller = new AbortController();
  const onProgress = ({ doneBytes }: { doneBytes: number }) => void (doneBytes === 100_000 && controller.abort());
  const pulling = store.pull(model, { signal: controller.signal, onProgress });
  await expect(pulling).rejects.toMatchObject({ code: 'aborted' });
  expect(await fixture.files()).toEqual([`${sha256}.partial`]);

  delete server.behaviour.stallsAfterBytes;
  expect(await store.pull(model)).toMatchObject({ model: sha256 });
  expect(server.ranges).toEqual(['bytes=0-', 'bytes=100000-']);
  expect(await fixture.files()).toEqual([`${sha256}.gguf`, `${sha256}.manifest`]);
});

test('starts over when what an earlier pull left is damaged', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  const { store, content, sha256 } = fixture;
  server.behaviour.content = content;
  await writeFile(fixture.partial(sha256), randomBytes(5000));
  expect(await store.pull(catalogReference(content, [fromServer]))).toMatchObject({ model: sha256 });
  expect(server.ranges).toEqual(['bytes=5000-', 'bytes=0-']);
});

test('deletes a file whose hash is wrong and takes the next source', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  const { store, content, sha256, file } = fixture;
  server.behaviour.content = Buffer.concat([content.subarray(0, -1), Buffer.from([7])]);
  const local = { kind: 'local-file', path: file } as const;
  expect(await store.pull(catalogReference(content, [fromServer, local]))).toMatchObject({ model: sha256 });

  const wrong = await storeFixture({ endpoint: server.endpoint });
  await using _ = wrong;
  const pulling = wrong.store.pull(catalogReference(content, [fromServer]));
  await expect(pulling).rejects.toMatchObject({
    code: 'hash-mismatch',
    details: { expected: sha256, actual: expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
  expect(await wrong.files()).toEqual([]);
});

test('names every source and its reason when none delivers', async () => {
  await using server = await startFileServer({ content: randomBytes(1000), status: 503 });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  const missing = { kind: 'local-file', path: '/nowhere/other.gguf' } as const;
  const pulling = fixture.store.pull(catalogReference(fixture.content, [fromServer, missing]));
  await expect(pulling).rejects.toMatchObject({
    code: 'model-unreachable',
    message: /127\.0\.0\.1: .*status 503.*other\.gguf: cannot read/,
  });
});

test('holds nothing that is no GGUF', async () => {
  await using fixture = await storeFixture();
  const page = join(fixture.file, '..', 'page.gguf');
  await writeFile(page, '<html>please sign in</html>');
  await expect(fixture.store.pull(page)).rejects.toMatchObject({ code: 'model-invalid' });
  expect(await fixture.files()).toEqual([]);
  expect(await fixture.store.list()).toEqual([]);
});

test('says how much room is missing, and where, before it downloads', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  await using fixture = await storeFixture({ endpoint: server.endpoint, freeBytes: () => Promise.resolve(1000) });
  server.behaviour.content = fixture.content;
  await expect(fixture.store.pull(reference)).rejects.toMatchObject({
    code: 'disk-failed',
    details: { neededBytes: fixture.content.byteLength, freeBytes: 1000 },
    message: expect.stringContaining('models'),
  });
  expect(server.ranges).toEqual([]);
  expect(await fixture.files()).toEqual([]);
});

test('pulls again what was damaged on the disk', async () => {
  await using fixture = await storeFixture();
  const { store, file, sha256 } = fixture;
  await store.pull(file);
  await appendFile(await store.path(sha256), 'x');
  expect(await store.list()).toEqual([]);
  expect(await store.pull(file)).toMatchObject({ model: sha256 });
  expect(await readFile(await store.path(sha256))).toEqual(fixture.content);
});

test('refuses a model that makes embeddings, and says so', async () => {
  await using fixture = await storeFixture();
  await writeTinyModel('qwen3', fixture.file, { metadata: { 'qwen3.pooling_type': ['uint32', 3] } });
  await expect(fixture.store.pull(fixture.file)).rejects.toMatchObject({
    code: 'model-invalid',
    message: "the model can't generate text: it makes embeddings; choose a model that writes text",
  });
  expect(await fixture.store.list()).toEqual([]);
});

test('marks such a model that an earlier version took in, with the reason', async () => {
  await using fixture = await storeFixture();
  const { store, file, model, manifest } = fixture;
  await writeTinyModel('qwen3', file, { metadata: { 'qwen3.pooling_type': ['uint32', 0] } });
  const { model: sha256 } = await store.pull(file);
  expect((await store.find(sha256))?.unusable).toBeUndefined();

  // Content that pull would refuse, in the places where it would have put it.
  const content = await readFile(file);
  const key = 'qwen3.pooling_type';
  content[content.indexOf(key) + key.length + 4] = 3;
  const { manifest: made } = await store.manifest(sha256);
  const other = createHash('sha256').update(content).digest('hex');
  await writeFile(model(other), content);
  await writeFile(manifest(other), encodeValue({ ...made, model: other }));
  const unusable = "can't generate text: it makes embeddings";
  expect(await store.find(other)).toMatchObject({ model: other, unusable });
  expect(await (await fixture.openAgain()).list()).toContainEqual(expect.objectContaining({ model: other, unusable }));
});

test('takes a file whose texts are not UTF-8, as llama.cpp does', async () => {
  await using fixture = await storeFixture({ checkModel });
  const { store, file } = fixture;
  await writeTinyModel('llama', file, { metadata: { 'general.author': ['string', 'Zoe'] } });
  const content = await readFile(file);
  content[content.indexOf('Zoe') + 2] = 0xeb;
  await writeFile(file, content);
  expect(await store.pull(file)).toMatchObject({ bytes: content.byteLength });
});

test('refuses what llama.cpp refuses, with its reason', async () => {
  await using fixture = await storeFixture({ checkModel });
  await writeTinyModel('llama', fixture.file, { metadata: { 'tokenizer.ggml.pre': ['string', 'unheard-of'] } });
  await expect(fixture.store.pull(fixture.file)).rejects.toMatchObject({
    code: 'model-invalid',
    message:
      "llama.cpp refuses the model: unknown pre-tokenizer type: 'unheard-of'; choose another file or a newer Skein",
  });
  expect(await fixture.store.list()).toEqual([]);
});

test('keeps a download that is what its source has, though it can not be used', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  let isRefused = true;
  const refuse = () =>
    isRefused ? Promise.reject(new SkeinError('model-invalid', 'of an unknown kind')) : Promise.resolve();
  await using fixture = await storeFixture({ endpoint: server.endpoint, checkModel: refuse });
  const { store, content, sha256 } = fixture;
  server.behaviour.content = content;
  const model = catalogReference(content, [fromServer]);
  for (const _ of [1, 2]) {
    await expect(store.pull(model)).rejects.toMatchObject({ code: 'model-invalid', message: 'of an unknown kind' });
    expect(await fixture.files()).toEqual([`${sha256}.partial`]);
  }
  // As with a newer llama.cpp.
  isRefused = false;
  expect(await store.pull(model)).toMatchObject({ model: sha256 });
  expect(server.ranges).toEqual(['bytes=0-']);
});

test('keeps a download when looking at it failed', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  const fail = () => Promise.reject(new SkeinError('deadline-exceeded', 'took too long'));
  await using fixture = await storeFixture({ endpoint: server.endpoint, checkModel: fail });
  server.behaviour.content = fixture.content;
  await expect(fixture.store.pull(reference)).rejects.toMatchObject({ code: 'deadline-exceeded' });
  expect(await fixture.files()).toEqual([expect.stringMatching(/\.partial$/)]);
});

test('stops a download as soon as its head tells that it is no model', async () => {
  const content = Buffer.concat([Buffer.from('<html>please sign in</html>'), Buffer.alloc(3_000_000)]);
  await using server = await startFileServer({ content, stallsAfterBytes: 1_000_000 });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  await expect(fixture.store.pull(reference)).rejects.toMatchObject({ code: 'model-invalid', message: /not a GGUF/ });
  expect(await fixture.files()).toEqual([]);
});
