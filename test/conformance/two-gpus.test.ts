import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { StagePlacement } from '@skein/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { loadStage } from '../../packages/node/src/engine/child/load-stage.ts';
import type { Libllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import { wholeModelLoad } from '../../packages/node/src/engine/test-support/whole-model-load.ts';
import type { GpuOptions } from '../../packages/node/src/hardware/gpu-options.ts';
import { createManifest } from '../../packages/node/src/stage-file/index.ts';
import { writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { greatestDifference } from './greatest-difference.ts';
import { wholePipeline } from './pipeline.ts';
import { openSoftwareGpus } from './software-gpu.ts';
import { runWorkload } from './workload.ts';

/**
 * A stage over two GPUs, proved on Mesa's software Vulkan device, listed twice. On machines without the driver these
 * tests skip.
 */

/** Both are the same software, and rows change no bit between them; drivers may fuse operations otherwise at the border. */
const greatestAllowed = 1e-5;

let directory: string;
let library: Libllama;
let log: string[];
let missing: string | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-two-gpus-'));
  const opened = await openSoftwareGpus(directory, 2);
  if (typeof opened === 'string') missing = opened;
  else ({ library, log } = opened);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

/** Computes the workload with a tiny model on GPUs, and tells where it lay. */
async function runOn(
  gpuOptions: GpuOptions | undefined,
): Promise<{ readonly logits: readonly Float32Array[]; readonly placement: StagePlacement }> {
  const file = join(directory, 'llama.gguf');
  await writeTinyModel('llama', file, { weights: 'q8_0' });
  const { manifest } = await createManifest({ file, name: 'tiny' });
  const { hiddenSize, vocabularySize } = manifest.shape;
  const { stage, placement } = await loadStage(
    library,
    wholeModelLoad(manifest, {
      libraryDirectory: '',
      file,
      contextTokens: 512,
      sequences: 4,
      ...(gpuOptions && { gpu: { backend: 'vulkan', options: gpuOptions } }),
    }),
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
