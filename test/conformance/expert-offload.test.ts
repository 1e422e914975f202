import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  expertLayersIn,
  invariant,
  isExpertTensor,
  keptDeviceBytes,
  plannedSpecSchema,
  type Block,
  type ModelManifest,
  type StagePlacement,
} from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { loadStage, type PlacedStage } from '../../packages/node/src/engine/child/load-stage.ts';
import { readStageSizes } from '../../packages/node/src/engine/child/stage-sizes.ts';
import { TokenEmbedder } from '../../packages/node/src/engine/lead/token-embedder.ts';
import type { Libllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import {
  createManifest,
  ensureStageFile,
  fileSectionSource,
  splitArchitecture,
} from '../../packages/node/src/stage-file/index.ts';
import { writeTinyModel, type TinyModelOptions } from '../../scripts/fixtures/tiny-models.ts';
import { greatestDifference } from './greatest-difference.ts';
import { stagedPipeline, wholePipeline, type Pipeline } from './pipeline.ts';
import { openSoftwareGpus } from './software-gpu.ts';

/**
 * Experts in main memory beside a GPU, proved on Mesa's software Vulkan device. On machines without the driver these
 * tests skip.
 *
 * Two things would hide a fault in such a comparison. Backends round differently: this device's kernels for more than
 * eight rows take activations as f16, and a CPU takes those before quantized weights as q8_0. And a router that chooses
 * two of four experts turns at a near tie, which moves logits by some tenths: with q8_0 weights the CPU alone differs from
 * the GPU alone by up to 1.7 of 4, and by 0.08 where routers have no choice. So weights are f32 here, and eight rows are
 * computed at once: then nothing is rounded but keys and values in the cache, to f16.
 */
const layers = 6;
/** Models, and the layers of each whose experts lie in main memory. */
const models = [
  ['mixtral', 2],
  ['qwen3moe', 3],
  ['gpt-oss', layers],
] as const;
const sequences = 8;

/** Of logits up to 4, 5e-4 was seen; an expert that is not the right one gives tenths. */
const greatestAllowed = 2e-3;
/** Number of sequences in which a router may turn at a near tie, on drivers that round otherwise. A fault spoils all. */
const mostTurned = 2;

let directory: string;
let library: Libllama;
let log: string[];
let missing: string | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-expert-offload-'));
  const opened = await openSoftwareGpus(directory, 1);
  if (typeof opened === 'string') missing = opened;
  else ({ library, log } = opened);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

interface Model {
  readonly file: string;
  readonly manifest: ModelManifest;
}

/** Makes a tiny model of f32 weights. Its routers choose two of four experts, unless its metadata say otherwise. */
async function tinyModel(name: string, metadata: TinyModelOptions['metadata'] = {}): Promise<Model> {
  const file = join(directory, `${name}-${Object.keys(metadata).length}.gguf`);
  await writeTinyModel(name, file, { weights: 'f32', metadata });
  return { file, manifest: (await createManifest({ file, name: 'tiny' })).manifest };
}

interface LoadOptions {
  /** The option for the model's first layers. Default: the machine decides. */
  readonly cpuExpertLayers?: number;
  /** Bytes free on the GPU. Default: as it says. */
  readonly freeBytes?: number;
  /** Layers of a stage of a split. Default: the whole model. */
  readonly block?: Block;
}

/** Loads a model, or a stage of one, with all its layers on the GPU. */
async function load(model: Model, file: string, { cpuExpertLayers, freeBytes, block }: LoadOptions) {
  const { shape, model: id } = model.manifest;
  const { hiddenSize } = shape;
  const { from, to } = block ?? { from: 0, to: layers };
  const architecture = invariant(splitArchitecture(shape.architecture), 'the architecture can be split');
  const spec = plannedSpecSchema.parse({ model: id, contextTokens: 512, sequences, cpuExpertLayers });
  return await loadStage(
    freeBytes === undefined ? library : withFree(freeBytes),
    {
      type: 'engine-load',
      libraryDirectory: '',
      file,
      stage: from === 0 ? 0 : 1,
      stages: block === undefined ? 1 : 2,
      layers: to - from,
      cacheBytes: 0,
      hiddenTensor: architecture.hiddenTensor,
      hiddenSize,
      spec,
      cpuExpertLayers: expertLayersIn({ from, to }, spec),
      swapTokens: 0,
      threads: 1,
      gpu: { backend: 'vulkan', options: {} },
    },
    {
      file,
      takesHidden: block !== undefined,
      hiddenTensor: to === layers ? undefined : `${architecture.hiddenTensor}-${to - from - 1}`,
      inputTensor: block && architecture.inputTensor,
      hiddenSize,
      contextTokens: 512,
      sequences,
      batchTokens: 64,
      threads: 1,
    },
  );
}

/** Makes the library tell that so many bytes are free on the GPU. */
function withFree(bytes: number): Libllama {
  return {
    ...library,
    deviceMemory(device, free, total) {
      library.deviceMemory(device, free, total);
      free[0] = bytes;
    },
  };
}

/** Loads a whole model, and returns it with the tensors that llama.cpp put into main memory instead of the GPU's. */
async function loadWhole(model: Model, options: LoadOptions = {}): Promise<Placed> {
  return placed(() => load(model, model.file, options));
}

interface Placed {
  readonly stage: PlacedStage['stage'];
  readonly placement: StagePlacement;
  readonly moved: readonly string[];
}

async function placed(loading: () => Promise<PlacedStage>): Promise<Placed> {
  log.length = 0;
  const loaded = await loading();
  const lines = log.join('').matchAll(/^tensor (\S+) \(.* buffer type overridden to/gm);
  return { ...loaded, moved: Array.from(lines, ([, name = '']) => name).toSorted() };
}

/** Lists the experts' tensors of the first layers of a file. */
function expertsOf({ manifest }: Model, first: number): readonly string[] {
  return manifest.sections
    .flatMap(({ kind, name }) => (kind === 'tensor' && isExpertTensor(name) ? [name] : []))
    .filter((name) => Number(name.split('.')[1]) < first)
    .toSorted();
}

/** Computes two steps of one row of each sequence, with given tokens. Returns the logits of each step and sequence. */
function twoSteps(pipeline: Pipeline, { manifest }: Model): readonly Float32Array[] {
  return [0, 1].flatMap((position) =>
    pipeline.run({
      entries: Array.from({ length: sequences }, (_, sequence) => ({ sequence, position, count: 1, sample: true })),
      tokens: Int32Array.from({ length: sequences }, (_, sequence) =>
        tokenAt(manifest, position * 37 + sequence * 101),
      ),
    }),
  );
}

function tokenAt({ shape }: ModelManifest, number: number): number {
  return (number + 5) % shape.vocabularySize;
}

/** Expects the logits of {@link twoSteps} to be alike in nearly all sequences. */
function expectLike(actual: readonly Float32Array[], expected: readonly Float32Array[]): void {
  expect(actual).toHaveLength(2 * sequences);
  const turned = Array.from({ length: sequences }, (_, sequence) => {
    const ofSequence = (logits: readonly Float32Array[]) => logits.filter((_row, row) => row % sequences === sequence);
    return greatestDifference(ofSequence(expected), ofSequence(actual));
  }).filter((difference) => !(difference <= greatestAllowed));
  expect(turned.length, `sequences that differ by ${turned.join(', ')}`).toBeLessThanOrEqual(mostTurned);
}

test.for(models)(
  'experts of %s in main memory, of %i layers, give the logits that they give on the GPU',
  { timeout: 240_000 },
  async ([name, expertLayers], { skip }) => {
    if (missing !== undefined) return skip(missing);
    const model = await tinyModel(name);
    const run = async (cpuExpertLayers?: number) => {
      const { stage, placement, moved } = await loadWhole(model, { ...(cpuExpertLayers && { cpuExpertLayers }) });
      using pipeline = wholePipeline(stage);
      return { logits: twoSteps(pipeline, model), placement, moved };
    };
    const all = await run();
    expect(all.placement).not.toHaveProperty('expertLayers');
    expect(all.moved).toEqual([]);
    const some = await run(expertLayers);
    expect(some.placement).toMatchObject({ cpuLayers: 0, expertLayers });
    expect(some.moved).toEqual(expertsOf(model, expertLayers));
    expect(some.placement.devices[0]?.bytes).toBeLessThan(all.placement.devices[0]?.bytes ?? 0);
    expectLike(some.logits, all.logits);
    return undefined;
  },
);

test('experts in main memory give them for a long prompt, too, for which the GPU gets copies', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const model = await tinyModel('gpt-oss', { 'gpt-oss.expert_used_count': ['uint32', 4] });
  const tokens = Int32Array.from({ length: 40 }, (_, index) => tokenAt(model.manifest, index * 37));
  const run = async (options?: LoadOptions) => {
    using pipeline = wholePipeline((await loadWhole(model, options)).stage);
    return pipeline.run({ entries: [{ sequence: 0, position: 0, count: 40, sample: true }], tokens });
  };
  const expected = await run();
  expect(greatestDifference(expected, await run({ cpuExpertLayers: layers }))).toBeLessThanOrEqual(greatestAllowed);
  return undefined;
}, 240_000);

describe('experts of a split model in main memory', () => {
  const blocks = [
    { from: 0, to: 2 },
    { from: 2, to: layers },
  ];

  async function cut(model: Model) {
    const source = fileSectionSource(model.file);
    const target = join(directory, 'stages');
    const fileOf = async (block: Block, kind: 'stage' | 'front') =>
      (await ensureStageFile({ manifest: model.manifest, block, kind, source, directory: target })).path;
    const files: string[] = [];
    for (const block of blocks) files.push(await fileOf(block, 'stage'));
    return { files, front: await fileOf({ from: 0, to: layers }, 'front') };
  }

  /** Computes the steps over two stages. */
  async function runStages(model: Model, options: readonly [first: LoadOptions, second: LoadOptions]) {
    const { files, front } = await cut(model);
    const stages: Placed[] = [];
    for (const [index, block] of blocks.entries()) {
      const file = invariant(files[index], 'each block has a file');
      stages.push(await placed(() => load(model, file, { ...options[index], block })));
    }
    const embedder = await TokenEmbedder.open(library, front);
    using pipeline = stagedPipeline(
      embedder,
      stages.map(({ stage }) => stage),
    );
    return { logits: twoSteps(pipeline, model), stages };
  }

  async function runWhole(model: Model) {
    using pipeline = wholePipeline((await loadWhole(model)).stage);
    return twoSteps(pipeline, model);
  }

  test('are those of the first layers of the model, of whatever stage these are', async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const model = await tinyModel('mixtral');
    const { logits, stages } = await runStages(model, [{ cpuExpertLayers: 3 }, { cpuExpertLayers: 3 }]);
    // A stage file numbers its layers from 0.
    expect(stages.map(({ moved }) => moved)).toEqual([expertsOf(model, 2), expertsOf(model, 1)]);
    expect(stages.map(({ placement }) => placement.expertLayers)).toEqual([2, 1]);
    expectLike(logits, await runWhole(model));
    return undefined;
  }, 240_000);

  test('are as few as each machine needs where nobody asks', async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const model = await tinyModel('qwen3moe');
    const { files } = await cut(model);
    const file = invariant(files[1], 'the second block has a file');
    const sizes = await readStageSizes(file, { layers: 4, cacheBytes: 0 });
    const sum = (bytes: readonly number[]) => bytes.reduce((total, one) => total + one, 0);
    const needed = sum(sizes.layers) + sizes.output;
    const freeBytes = keptDeviceBytes + needed - sum(invariant(sizes.experts, 'they are known').slice(0, 2));
    const { logits, stages } = await runStages(model, [{}, { freeBytes }]);
    expect(stages.map(({ moved }) => moved)).toEqual([[], expertsOf(model, 2)]);
    expect(stages[1]?.placement).toMatchObject({ cpuLayers: 0, expertLayers: 2 });
    expectLike(logits, await runWhole(model));
    return undefined;
  }, 240_000);
});
