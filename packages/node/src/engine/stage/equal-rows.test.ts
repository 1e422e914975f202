import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { CacheType, StepEntry } from '@skein/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { createManifest } from '../../stage-file/index.ts';
import { loadLibllama } from '../libllama/libllama.ts';
import { Stage } from './stage.ts';

/** Decision 6: a row's logits on a CPU, whatever is computed beside it, where the cache has more than 512 cells in use. */
const length = 530;
const chunk = 53;

let directory: string;
let file: string;
let hiddenSize: number;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-rows-'));
  file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file, { weights: 'q8_0' });
  const { manifest } = await createManifest({ file, name: 'tiny' });
  ({ hiddenSize } = manifest.shape);
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

const cases: readonly { readonly threads: number; readonly cacheType: CacheType }[] = [
  { threads: 1, cacheType: 'f16' },
  { threads: 2, cacheType: 'q8_0' },
];

it.each(cases)('a row alone has the logits of one beside others: $threads threads, $cacheType', async (options) => {
  using stage = new Stage(loadLibllama(await libraryDirectory('cpu')), {
    file,
    takesHidden: false,
    hiddenSize,
    contextTokens: 1024,
    sequences: 2,
    batchTokens: 63,
    ...options,
  });
  const run = (...rows: Pick<StepEntry, 'sequence' | 'position' | 'count'>[]) => {
    const [first] = rows;
    const operations = rows.map(({ sequence, position }) => ({ type: 'remove' as const, sequence, from: position }));
    const entries = rows.map((row) => ({ ...row, sample: row === first && row.count < chunk }));
    const tokens = rows.flatMap(({ position, count }) =>
      Array.from({ length: count }, (_, row) => (position + row) % 300),
    );
    stage.run({ type: 'step', step: 0, operations, entries }, { tokens: Int32Array.from(tokens) });
  };
  for (let position = 0; position < length; position += chunk) run({ sequence: 0, position, count: chunk });

  run({ sequence: 0, position: length, count: 1 });
  const alone = stage.logits(0).slice();
  run({ sequence: 0, position: length, count: 1 }, { sequence: 1, position: 0, count: 1 });
  expect(stage.logits(0)).toEqual(alone);
  run({ sequence: 0, position: length - 19, count: 20 });
  expect(stage.logits(19)).toEqual(alone);
});
