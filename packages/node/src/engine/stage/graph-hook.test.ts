import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { createManifest, ensureStageFile, fileSectionSource, splitArchitecture } from '../../stage-file/index.ts';
import { loadLibllama, type EvalCallback, type Libllama, type TensorPointer } from '../libllama/libllama.ts';
import { Stage } from './stage.ts';

/** Layers of the stage: the first of the model. */
const layers = 4;
const sequence = 0;

let directory: string;
let library: Libllama;
let file: string;
let hiddenSize: number;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-hook-'));
  library = loadLibllama(await libraryDirectory('cpu'));
  const model = join(directory, 'llama.gguf');
  await writeTinyModel('llama', model, { weights: 'q8_0' });
  const { manifest } = await createManifest({ file: model, name: 'llama' });
  ({ hiddenSize } = manifest.shape);
  const block = { from: 0, to: layers };
  ({ path: file } = await ensureStageFile({
    manifest,
    block,
    kind: 'stage',
    source: fileSectionSource(model),
    directory,
  }));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** A stage whose library counts the names it is asked for, and can hide the first tensors of a graph from the hook. */
class WatchedStage implements Disposable {
  names = 0;
  /** Number of a graph's first tensors that the hook is not asked about: the others come so much earlier. */
  hidden = 0;
  #asks = 0;
  readonly #stage: Stage;

  constructor() {
    const watched: Libllama = {
      ...library,
      tensorName: (tensor: TensorPointer) => {
        this.names += 1;
        return library.tensorName(tensor);
      },
      decode: (...call) => {
        this.#asks = 0;
        return library.decode(...call);
      },
      evalCallback: (callback: EvalCallback) =>
        library.evalCallback((tensor, ask) => {
          if (!ask) return callback(tensor, false);
          this.#asks += 1;
          return this.#asks > this.hidden && callback(tensor, true);
        }),
    };
    this.#stage = new Stage(watched, {
      file,
      takesHidden: true,
      hiddenTensor: `${splitArchitecture('llama')?.hiddenTensor}-${layers - 1}`,
      hiddenSize,
      contextTokens: 256,
      sequences: 1,
      batchTokens: 64,
      threads: 1,
    });
  }

  /** Computes rows from a position on, and returns the hidden rows with the number of names that it took. */
  run(position: number, count: number): { rows: Uint8Array; names: number } {
    this.names = 0;
    const hidden = new Uint8Array(
      Float32Array.from({ length: count * hiddenSize }, (_, index) => Math.sin(position * hiddenSize + index)).buffer,
    );
    const entries = [{ sequence, position, count, sample: false }];
    const output = this.#stage.run({ type: 'step', step: 0, operations: [], entries }, { hidden });
    if (!('hidden' in output)) throw new Error('a stage that is not the tail gives hidden rows');
    return { rows: output.hidden, names: this.names };
  }

  [Symbol.dispose](): void {
    this.#stage[Symbol.dispose]();
  }
}

test('looks at the name of the wanted tensor alone, once it has seen a graph of as many rows', () => {
  using stage = new WatchedStage();
  const first = stage.run(0, 4);
  const second = stage.run(4, 4);
  expect(first.names).toBeGreaterThan(20);
  // When it is asked for, and when it has been computed.
  expect(second.names).toBe(2);
  expect(stage.run(8, 5).names).toBeGreaterThan(20);
  expect(stage.run(13, 4).names).toBe(2);
});

test.each([
  ['earlier', 0, 3],
  ['later', 3, 0],
])('finds the tensor of a graph that has it %s than the one before of as many rows', (_, before, after) => {
  using unchanged = new WatchedStage();
  using stage = new WatchedStage();
  stage.hidden = before;
  expect(stage.run(0, 4).rows).toEqual(unchanged.run(0, 4).rows);
  stage.hidden = after;
  const changed = stage.run(4, 4);
  expect(changed.rows).toEqual(unchanged.run(4, 4).rows);
  expect(changed.names).toBeGreaterThan(2);
  expect(stage.run(8, 4)).toEqual({ rows: unchanged.run(8, 4).rows, names: 2 });
});
