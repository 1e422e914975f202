import { isSkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { defaultModelName } from '../catalog/index.ts';
import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { openStore } from './model-store.ts';

test('pulls the default model from a real source', { timeout: 600_000 }, async ({ skip }) => {
  await using directory = await temporaryDirectory();
  const store = await openStore(directory.path);
  const sources = new Set<string>();
  const held = await store
    .pull(defaultModelName, { onProgress: ({ source }) => void sources.add(source) })
    .catch((error: unknown) => {
      if (isSkeinError(error) && error.code === 'model-unreachable') skip(`no source is reachable: ${error.message}`);
      throw error;
    });
  expect(held).toMatchObject({ name: defaultModelName, bytes: 98_362_432 });
  expect(sources.size).toBeGreaterThan(0);
  const { manifest } = await store.manifest(held.model);
  expect(manifest.shape).toMatchObject({ architecture: 'llama', layers: 30, hiddenSize: 576 });
});
