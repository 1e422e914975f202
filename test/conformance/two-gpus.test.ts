import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { plannedSpecSchema, type StagePlacement } from '@skein/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { loadStage } from '../../packages/node/src/engine/child/load-stage.ts';
import { loadLibllama, type Libllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import { libraryDirectories } from '../../packages/node/src/hardware/backend.ts';
import { lookForGpus } from '../../packages/node/src/hardware/detect.ts';
import type { GpuOptions } from '../../packages/node/src/hardware/gpu-options.ts';
import { createManifest } from '../../packages/node/src/stage-file/index.ts';
import { writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { greatestDifference } from './greatest-difference.ts';
import { wholePipeline } from './pipeline.ts';
import { runWorkload } from './workload.ts';

/**
 * A stage over two GPUs, proved on Mesa's software Vulkan device, listed twice. llama.cpp skips devices that are CPUs
 * unless they are named, which a variable does. On machines without the driver these tests skip.
 */
const driverDirectories = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];

/** Both are the same software, and rows change no bit between them; drivers may fuse operations otherwise at the border. */
const greatestAllowed = 1e-5;

let directory: string;
let library: Libllama;
const log: string[] = [];
let missing: string | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-two-gpus-'));
  const driver = await findDriver();
  if (driver === undefined) {
    missing = "Mesa's software Vulkan driver is not installed: install mesa-vulkan-drivers";
    return;
  }
  const twice = [join(directory, 'first.json'), join(directory, 'second.json')];
  for (const path of twice) await copyFile(driver, path);
  vi.stubEnv('VK_ICD_FILENAMES', twice.join(delimiter));
  vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0,1');
  vi.stubEnv('LP_NUM_THREADS', '1');
  const libraries = await libraryDirectories('vulkan').catch(() => undefined);
  const found = libraries && (await lookForGpus('vulkan', libraries));
  if (libraries === undefined || found === undefined || 'searchFailure' in found || found.gpus.length !== 2) {
    missing = 'the Vulkan build of llama.cpp does not see the software device twice';
    return;
  }
  library = loadLibllama(libraries.directory, { log: (_level, text) => void log.push(text) });
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function findDriver(): Promise<string | undefined> {
  for (const candidate of driverDirectories) {
    const names = await readdir(candidate).catch(() => []);
    const name = names.find((entry) => /^lvp_icd.*\.json$/.test(entry));
    if (name !== undefined) return join(candidate, name);
  }
  return undefined;
}

/** Computes the workload with a tiny model on GPUs, and tells where it lay. */
async function runOn(
  gpuOptions: GpuOptions | undefined,
  { name = 'llama', cpuExpertLayers }: { readonly name?: string; readonly cpuExpertLayers?: number } = {},
): Promise<{ readonly logits: readonly Float32Array[]; readonly placement: StagePlacement }> {
  const file = join(directory, `${name}.gguf`);
  await writeTinyModel(name, file, { weights: 'q8_0' });
  const { shape, model } = (await createManifest({ file, name: 'tiny' })).manifest;
  const { hiddenSize, layers, vocabularySize } = shape;
  const { stage, placement } = await loadStage(
    library,
    {
      type: 'engine-load',
      libraryDirectory: '',
      file,
      stage: 0,
      stages: 1,
      layers,
      cacheBytes: 0,
      hiddenTensor: '',
      hiddenSize,
      spec: plannedSpecSchema.parse({ model, contextTokens: 512, sequences: 4 }),
      swapTokens: 0,
      threads: 1,
      ...(cpuExpertLayers !== undefined && { cpuExpertLayers }),
      ...(gpuOptions && { gpu: { backend: 'vulkan', options: gpuOptions } }),
    },
    { file, takesHidden: false, hiddenSize, contextTokens: 512, sequences: 4, batchTokens: 64, threads: 1 },
  );
  using pipeline = wholePipeline(stage);
  return { logits: runWorkload(pipeline, vocabularySize, { decodeSteps: 4 }), placement };
}

test('a stage over two GPUs has the logits of one', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const one = await runOn({ gpus: [0] });
  const both = await runOn({});
  expect(one.placement.devices).toHaveLength(1);
  expect(both.placement).toMatchObject({ backend: 'vulkan', cpuLayers: 0, fallbacks: [] });
  expect(both.placement.devices.map(({ layers }) => layers)).toEqual([3, 3]);
  expect(greatestDifference(one.logits, both.logits)).toBeLessThanOrEqual(greatestAllowed);
  return undefined;
  // The software device waits for its threads by spinning, which takes many times as long beside another test.
}, 240_000);

test('a stage on the CPU leaves GPUs alone that llama.cpp sees', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const linesOf = async (gpuOptions: GpuOptions | undefined): Promise<string> => {
    log.length = 0;
    const { placement } = await runOn(gpuOptions);
    expect(placement.backend).toBe(gpuOptions === undefined ? 'cpu' : 'vulkan');
    return log.join('');
  };
  expect(await linesOf({ gpus: [0] })).toContain('Vulkan0');
  expect(await linesOf(undefined)).not.toContain('Vulkan');
  return undefined;
}, 240_000);

/** The CPU quantizes activations, the software GPU does not: of logits up to 3.3, 0.045 was seen. */
const greatestBetweenBackends = 0.1;

test('experts in main memory give the logits that they give on the GPU', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const name = 'gpt-oss';
  const allOnGpu = await runOn({ gpus: [0] }, { name });
  const someOnCpu = await runOn({ gpus: [0] }, { name, cpuExpertLayers: 2 });
  expect(allOnGpu.placement).not.toHaveProperty('expertLayers');
  expect(someOnCpu.placement).toMatchObject({ cpuLayers: 0, expertLayers: 2 });
  const bytesOf = ({ placement }: { placement: StagePlacement }) => placement.devices[0]?.bytes ?? 0;
  expect(bytesOf(someOnCpu)).toBeLessThan(bytesOf(allOnGpu));
  expect(greatestDifference(allOnGpu.logits, someOnCpu.logits)).toBeLessThanOrEqual(greatestBetweenBackends);
  return undefined;
}, 240_000);
