import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { parseMetadataOverride, type Block, type ModelManifest } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { TokenEmbedder } from '../../packages/node/src/engine/lead/token-embedder.ts';
import { loadLibllama, type Libllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import { Stage, type StageOptions } from '../../packages/node/src/engine/stage/stage.ts';
import {
  createManifest,
  ensureStageFile,
  fileSectionSource,
  splitArchitecture,
} from '../../packages/node/src/stage-file/index.ts';
import { tinyArchitectures, writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { greatestDifference } from './greatest-difference.ts';
import { stagedPipeline, wholePipeline, type Pipeline } from './pipeline.ts';
import { runLongPrompt, runWorkload } from './workload.ts';

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

/** Options of a stage, and the layer after which it ends where it is not the last. */
type StageSettings = Partial<StageOptions> & { readonly tap?: number | undefined };

function stage({ manifest }: Model, file: string, { tap, ...options }: StageSettings = {}): Stage {
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
    ...(tap === undefined ? {} : { hiddenTensor: `${architecture?.hiddenTensor}-${tap}` }),
    ...(takesHidden && architecture?.inputTensor !== undefined ? { inputTensor: architecture.inputTensor } : {}),
    ...options,
  });
}

async function staged(model: Model, cuts: readonly number[], options: Partial<StageOptions> = {}): Promise<Pipeline> {
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
    const tap = to === layers ? undefined : to - from - 1;
    stages.push(stage(model, await cut({ from, to }, 'stage'), { tap, ...options }));
  }
  return stagedPipeline(await TokenEmbedder.open(library, await cut({ from: 0, to: layers }, 'front')), stages);
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

  it.each([
    { cacheType: 'bf16' },
    { cacheType: 'q4_0' },
    { cacheType: 'q5_1' },
    { cacheType: 'q8_0', valueCacheType: 'q4_0' },
    { cacheType: 'f16', valueCacheType: 'q5_1' },
  ] as const)('gives the logits of the whole model, with keys and values in %j', async (types) => {
    const model = await tinyModel('llama', 'q8_0');
    const { vocabularySize, layers } = model.manifest.shape;
    using plain = wholePipeline(stage(model, model.file));
    using whole = wholePipeline(stage(model, model.file, types));
    using split = await staged(model, [layers / 3], types);
    const expected = runWorkload(whole, vocabularySize);
    expect(greatestDifference(expected, runWorkload(split, vocabularySize))).toBe(0);
    // The type has been taken: none of them rounds as f16 does.
    expect(greatestDifference(expected, runWorkload(plain, vocabularySize))).toBeGreaterThan(0);
  });

  it.each(['gemma2', 'gemma3', 'gpt-oss'])(
    'gives them with windowed caches, too, far beyond the window: %s',
    async (name) => {
      const model = await tinyModel(name, 'q8_0');
      const { vocabularySize, slidingWindow } = model.manifest.shape;
      // In f16 attention would be added up in f16, and its order show.
      const cacheType = 'bf16';
      const windowed = { windowedCache: true, cacheType } as const;
      using full = wholePipeline(stage(model, model.file, { cacheType }));
      using whole = wholePipeline(stage(model, model.file, windowed));
      using split = await staged(model, [slidingWindow?.period ?? 0], windowed);
      const expected = runLongPrompt(whole, vocabularySize);
      expect(expected).toHaveLength(8);
      expect(greatestDifference(expected, runLongPrompt(split, vocabularySize))).toBe(0);
      // The window is the same; its cells lie elsewhere, and attention adds them up in another order.
      expect(greatestDifference(expected, runLongPrompt(full, vocabularySize))).toBeLessThan(1e-3);
    },
  );

  it.each([
    { positions: { ropeScaling: 'yarn', ropeScale: 4, yarnOriginalContext: 32 } },
    { positions: { ropeScaling: 'linear', ropeScale: 2 } },
    { positions: { ropeFrequencyBase: 1234 } },
    { overrides: [parseMetadataOverride('llama.rope.freq_base=float:1234')] },
  ] as const)('gives the logits of the whole model, with %j', async (options) => {
    const model = await tinyModel('llama', 'q8_0');
    const { vocabularySize, layers } = model.manifest.shape;
    using plain = wholePipeline(stage(model, model.file));
    using whole = wholePipeline(stage(model, model.file, options));
    using split = await staged(model, [layers / 3], options);
    const expected = runWorkload(whole, vocabularySize);
    expect(greatestDifference(expected, runWorkload(split, vocabularySize))).toBe(0);
    expect(greatestDifference(expected, runWorkload(plain, vocabularySize))).toBeGreaterThan(0);
  });

  it('refuses an override that llama.cpp would pass over', async () => {
    const model = await tinyModel('llama', 'q8_0');
    const overridden = (text: string) => stage(model, model.file, { overrides: [parseMetadataOverride(text)] });
    expect(() => overridden('llama.rope.freq_bass=float:1')).toThrow('reads no llama.rope.freq_bass');
    expect(() => overridden('llama.rope.freq_base=int:1')).toThrow('give it as llama.rope.freq_base=float:value');
  });
});
