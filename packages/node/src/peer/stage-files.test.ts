import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { plannedSpecSchema, type StageLoad } from '@skein/protocol';
import { expect, it } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openStore } from '../store/index.ts';
import { prepareStageFiles, type StageFilesComponents } from './stage-files.ts';

it('refuses to load a whole model whose weights have changed since it was pulled, with the way out', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-stage-files-'));
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const store = await openStore(directory.path);
  const { model } = await store.pull(file);
  const { manifest, digest } = await store.manifest(model);
  const load: StageLoad = {
    type: 'stage-load',
    deployment: 'deployment-1',
    manifest: digest,
    name: 'tiny',
    stage: 0,
    stages: 1,
    block: { from: 0, to: manifest.shape.layers },
    sources: [],
    spec: plannedSpecSchema.parse({ model, contextTokens: 256 }),
  };
  const mesh: StageFilesComponents['mesh'] = {
    open: async () => await Promise.reject(new Error('nobody is asked for what is here')),
    get cards(): never {
      throw new Error('nobody is asked for what is here');
    },
  };
  const prepare = async () =>
    await prepareStageFiles({ store, directory: join(directory.path, 'stages'), mesh }, load, {
      onProgress: () => undefined,
      signal: AbortSignal.timeout(10_000),
    });
  const path = await store.path(model);
  expect((await prepare()).file).toBe(path);
  const weights = await readFile(path);
  weights.writeUInt8((weights.at(-1) ?? 0) ^ 1, weights.byteLength - 1);
  await writeFile(path, weights);
  await expect(prepare()).rejects.toMatchObject({
    code: 'hash-mismatch',
    message: expect.stringContaining(`skein rm ${model}`) as string,
  });
});
