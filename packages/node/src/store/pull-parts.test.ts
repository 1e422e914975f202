import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';

import { startFileServer } from '../sources/test-support/file-server.ts';
import { cutModel, type CutOptions } from './test-support/cut-model.ts';
import { storeFixture } from './test-support/store-fixture.ts';

const reference = 'hf:owner/model/big-00001-of-00003.gguf';

function nameOf(index: number): string {
  return `big-0000${index + 1}-of-00003.gguf`;
}

/** Returns what a server has: the parts, each with its hash. */
function published(parts: readonly Uint8Array[]) {
  const entries = parts.map((content, index) => {
    return [nameOf(index), { content, sha256: createHash('sha256').update(content).digest('hex') }] as const;
  });
  return Object.fromEntries(entries);
}

/** Opens a store whose server has the fixture's model in three parts. */
async function cutFixture(options: Omit<CutOptions, 'parts'> = {}) {
  const server = await startFileServer({ content: new Uint8Array(0) });
  const fixture = await storeFixture({ endpoint: server.endpoint });
  const parts = await cutModel(fixture.content, { ...options, parts: 3 });
  server.behaviour.files = published(parts);
  const writeParts = async () => {
    const paths = parts.map((_, index) => join(dirname(fixture.file), nameOf(index)));
    await Promise.all(paths.map((path, index) => writeFile(path, parts[index] ?? new Uint8Array(0))));
    return paths;
  };
  return {
    ...fixture,
    server,
    parts,
    writeParts,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('merges parts into the very file from which they were cut', async () => {
  await using fixture = await cutFixture();
  const { store, content, sha256 } = fixture;
  const held = await store.pull(reference);
  expect(held).toMatchObject({ model: sha256, name: 'big', bytes: content.byteLength });
  expect(await readFile(await store.path(sha256))).toEqual(content);
  expect(await fixture.files()).toEqual([`${sha256}.gguf`, `${sha256}.manifest`, 'names.json']);
  const asked = fixture.server.ranges.length;
  expect(await store.pull(reference)).toMatchObject({ model: sha256 });
  // The heads tell which model it is.
  expect(fixture.server.ranges.length).toBe(asked + 3);
});

test('merges parts of which the first has no tensors', async () => {
  await using fixture = await cutFixture({ isFirstEmpty: true });
  expect(await fixture.store.pull(reference)).toMatchObject({ model: fixture.sha256 });
});

test('merges parts on this machine, whichever of them is named', async () => {
  await using fixture = await cutFixture();
  const [, second = ''] = await fixture.writeParts();
  expect(await fixture.store.pull(second)).toMatchObject({ model: fixture.sha256, name: 'big' });
});

test.each([1000, 300_000, 1_000_000])('goes on at byte %i of the merged file', async (bytes) => {
  await using fixture = await cutFixture();
  const { store, content, sha256, server } = fixture;
  const controller = new AbortController();
  const onProgress = ({ doneBytes }: { doneBytes: number }) => void (doneBytes > 0 && controller.abort());
  await expect(store.pull(reference, { signal: controller.signal, onProgress })).rejects.toMatchObject({
    code: 'aborted',
  });
  const [partial = ''] = await fixture.files();
  await writeFile(fixture.partial(partial.replace('.partial', '')), content.subarray(0, bytes));
  server.ranges.length = 0;
  expect(await store.pull(reference)).toMatchObject({ model: sha256 });
  expect(await readFile(await store.path(sha256))).toEqual(content);
});

test('says which part is missing, and leaves nothing', async () => {
  await using fixture = await cutFixture();
  const { server, store } = fixture;
  const { [nameOf(1)]: _, ...others } = server.behaviour.files ?? {};
  server.behaviour.files = others;
  await expect(store.pull(reference)).rejects.toMatchObject({
    code: 'model-not-found',
    message: expect.stringMatching(/^part 2 of 3: .* has no such file/) as string,
  });
  const [first = '', , third = ''] = await fixture.writeParts();
  await rm(third);
  await expect(store.pull(first)).rejects.toMatchObject({
    code: 'model-not-found',
    message: expect.stringMatching(/^part 3 of 3: cannot read .*big-00003-of-00003\.gguf/) as string,
  });
  expect(await fixture.files()).toEqual([]);
});

test('refuses a part of another place or cut, and leaves nothing', async () => {
  await using fixture = await cutFixture();
  const { server, store, parts, content } = fixture;
  const [first, second, third] = parts as [Uint8Array, Uint8Array, Uint8Array];
  server.behaviour.files = published([first, third, second]);
  await expect(store.pull(reference)).rejects.toMatchObject({
    code: 'model-invalid',
    message: 'part 2 of 3 says that it is part 3 of 3; get all parts from one place again',
  });
  server.behaviour.files = published([first, second, content]);
  await expect(store.pull(reference)).rejects.toThrow(/part 3 of 3 is no part of a model/);
  const [, other = second] = await cutModel(content, { parts: 4 });
  server.behaviour.files = published([first, other, third]);
  await expect(store.pull(reference)).rejects.toThrow(/part 2 of 3 says that it is part 2 of 4/);
  expect(await fixture.files()).toEqual([]);
});

test('refuses parts that have another number of tensors than they say', async () => {
  await using fixture = await cutFixture({ tensorCount: 7 });
  await expect(fixture.store.pull(reference)).rejects.toMatchObject({
    code: 'model-invalid',
    message: expect.stringMatching(/tensors together instead of 7/) as string,
  });
  expect(await fixture.files()).toEqual([]);
});

test('refuses a part whose content is not what its hash says, and leaves nothing', async () => {
  await using fixture = await cutFixture();
  const { server, store, parts } = fixture;
  const files = published(parts);
  const damaged = Uint8Array.from(parts[1] ?? []);
  damaged[damaged.byteLength - 40] = (damaged.at(-40) ?? 0) ^ 1;
  server.behaviour.files = { ...files, [nameOf(1)]: { content: damaged, sha256: files[nameOf(1)]?.sha256 ?? '' } };
  await expect(store.pull(reference)).rejects.toMatchObject({
    code: 'hash-mismatch',
    message: expect.stringMatching(/^part 2 of 3: expected SHA-256/) as string,
  });
  expect(await fixture.files()).toEqual([]);
});
