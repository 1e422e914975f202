import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';

import { ensureStageFile, fileSectionSource } from '../stage-file/index.ts';
import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { storeFixture } from './test-support/store-fixture.ts';

test('frees what a model takes, with its stage files, and touches nothing else', async () => {
  await using fixture = await storeFixture();
  const { store, file } = fixture;
  const other = join(dirname(file), 'other.gguf');
  await writeTinyModel('qwen3', other);
  const models = [await store.pull(file), await store.pull(other)] as const;
  const stages = join(dirname(file), 'data', 'stages');
  for (const { model } of models) {
    const { manifest } = await store.manifest(model);
    const source = fileSectionSource(await store.path(model));
    const half = manifest.shape.layers / 2;
    for (const [from, to, kind] of [
      [0, half, 'stage'],
      [half, manifest.shape.layers, 'stage'],
      [0, half, 'front'],
    ] as const) {
      await ensureStageFile({ manifest, block: { from, to }, kind, source, directory: stages });
    }
  }
  await writeFile(join(stages, `${'0'.repeat(64)}.gguf`), 'damaged');
  expect(await readdir(stages)).toHaveLength(7);

  const [tiny, kept] = models;
  const { freedBytes, isShared } = await store.remove(tiny.model);
  expect(freedBytes).toBeGreaterThan(tiny.bytes);
  expect(isShared).toBe(false);
  expect(await store.list()).toEqual([kept]);
  expect(await store.find('tiny')).toBeUndefined();
  expect(await fixture.files()).toEqual([`${kept.model}.gguf`, `${kept.model}.manifest`, 'names.json']);
  expect(await readdir(stages)).toHaveLength(4);
  expect(await store.find('other')).toMatchObject({ model: kept.model });
  await expect(store.remove(tiny.model)).rejects.toMatchObject({ code: 'model-not-found' });
  // It can be had again.
  expect(await store.pull(file)).toMatchObject({ model: tiny.model });
});

test('frees nothing of a file that another program holds, and leaves it', async () => {
  await using fixture = await storeFixture();
  const { store, file, sha256, content } = fixture;
  const blob = join(dirname(file), `sha256-${sha256}`);
  await rename(file, blob);
  await store.pull({ kind: 'local-file', path: blob, name: 'shared' });
  await mkdir(join(dirname(file), 'empty'));
  const { freedBytes, isShared } = await store.remove(sha256);
  expect(isShared).toBe(true);
  expect(freedBytes).toBeLessThan(100_000);
  expect(await readFile(blob)).toEqual(content);
  expect((await stat(blob)).nlink).toBe(1);
});
