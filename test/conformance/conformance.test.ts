import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import type { Block, ModelManifest } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { TokenEmbedder } from '../../packages/node/src/engine/lead/token-embedder.ts';
import { loadLibllama, type Libllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import { Stage } from '../../packages/node/src/engine/stage/stage.ts';
import {
  createManifest,
  ensureStageFile,
  fileSectionSource,
  splitArchitecture,
} from '../../packages/node/src/stage-file/index.ts';
import { tinyArchitectures, writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { stagedPipeline, wholePipeline, type Pipeline } from './pipeline.ts';
import { runWorkload } from './workload.ts';

/**
 * An architecture may be split because this passes: stages give the whole model's logits, bit for bit, on the CPU.
 */

let directory: string;
let library: Libllama;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-conformance-'));
  library = loadLibllama(binariesDirectory());
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** Finds the libraries in node-llama-cpp's package for the CPU of this machine. */
function binariesDirectory(): string {
  const systems: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'mac', win32: 'win' };
  const suffix = process.platform === 'darwin' && process.arch === 'arm64' ? '-metal' : '';
  const name = `${systems[process.platform]}-${process.arch}${suffix}`;
  const entry = createRequire(import.meta.url).resolve(`@node-llama-cpp/${name}`);
  return join(dirname(entry), '..', 'bins', name);
}

interface Model {
  readonly file: string;
  readonly manifest: ModelManifest;
}

async function tinyModel(name: string, weights: 'f16' | 'q8_0'): Promise<Model> {
  const file = join(directory, `${name}-${weights}.gguf`);
  await writeTinyModel(name, file, { weights });
  return { file, manifest: (await createManifest({ file, name })).manifest };
}

function stage({ manifest }: Model, file: string, layers?: { tap: number }): Stage {
  const architecture = splitArchitecture(manifest.shape.architecture);
  const takesHidden = file.includes('stages');
  return new Stage(library, {
    file,
    takesHidden,
    hiddenSize: manifest.shape.hiddenSize,
    contextTokens: 512,
    sequences: 4,
    batchTokens: 64,
    threads: 1,
    ...(layers === undefined ? {} : { hiddenTensor: `${architecture?.hiddenTensor}-${layers.tap}` }),
    ...(takesHidden && architecture?.inputTensor !== undefined ? { inputTensor: architecture.inputTensor } : {}),
  });
}

async function staged(model: Model, cuts: readonly number[]): Promise<Pipeline> {
  const { file, manifest } = model;
  const { layers } = manifest.shape;
  const source = fileSectionSource(file);
  const target = join(directory, 'stages');
  const cut = async (block: Block, kind: 'stage' | 'front') =>
    (await ensureStageFile({ manifest, block, kind, source, directory: target })).path;
  const edges = [0, ...cuts, layers];
  const stages: Stage[] = [];
  for (const [index, from] of edges.slice(0, -1).entries()) {
    const to = edges[index + 1] ?? layers;
    stages.push(stage(model, await cut({ from, to }, 'stage'), to === layers ? undefined : { tap: to - from - 1 }));
  }
  return stagedPipeline(await TokenEmbedder.open(library, await cut({ from: 0, to: layers }, 'front')), stages);
}

/** The greatest absolute difference between two runs' logits; NaN when one of them is NaN anywhere. */
function greatestDifference(left: readonly Float32Array[], right: readonly Float32Array[]): number {
  let greatest = 0;
  for (const [row, logits] of left.entries()) {
    for (const [token, value] of logits.entries()) {
      const difference = Math.abs(value - (right[row]?.[token] ?? Number.NaN));
      if (!(difference <= greatest)) greatest = difference;
    }
  }
  return greatest;
}

const cases = tinyArchitectures.flatMap(({ name }) => (['f16', 'q8_0'] as const).map((weights) => ({ name, weights })));

/**
 * Returns places of cuts into two and three stages, into like and unlike blocks, at multiples of what the architecture
 * allows. The last block of gemma3 is shorter than its pattern of sliding windows.
 */
function cutsOf({ shape }: ModelManifest): readonly (readonly number[])[] {
  const multiple = shape.split.allowed ? shape.split.multiple : shape.layers;
  const units = Math.ceil(shape.layers / multiple);
  const third = Math.floor(units / 3);
  return [[third], [third, 2 * third], [units - 1]].map((cuts) => cuts.map((cut) => cut * multiple));
}

describe('a split model', () => {
  it.each(cases)('gives the logits of the whole model: $name $weights', async ({ name, weights }) => {
    const model = await tinyModel(name, weights);
    const { vocabularySize } = model.manifest.shape;
    using whole = wholePipeline(stage(model, model.file));
    const expected = runWorkload(whole, vocabularySize);
    expect(expected).toHaveLength(3 + 1 + 32 * 3);
    for (const cut of cutsOf(model.manifest)) {
      using split = await staged(model, cut);
      expect(greatestDifference(expected, runWorkload(split, vocabularySize)), `cut at ${cut.join(' and ')}`).toBe(0);
    }
  });
});
