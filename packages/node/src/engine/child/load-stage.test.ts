import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SkeinError, type ModelManifest } from '@skein/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import type { GpuOptions } from '../../hardware/gpu-options.ts';
import { createManifest } from '../../stage-file/index.ts';
import { loadLibllama, type DevicePointer, type Libllama, type Params } from '../libllama/libllama.ts';
import { wholeModelLoad } from '../test-support/whole-model-load.ts';
import { loadStage } from './load-stage.ts';

const gibibyte = 1024 ** 3;

let directory: string;
let file: string;
let library: Libllama;
let manifest: ModelManifest;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-load-'));
  file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file);
  ({ manifest } = await createManifest({ file, name: 'tiny' }));
  library = loadLibllama(await libraryDirectory('cpu'));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** A machine with GPUs of which each has 24 GiB: llama.cpp computes on the CPU, and is told otherwise by none of them. */
class GpuMachine {
  /** Numbers of parts that were to lie on GPUs, load by load. */
  readonly loads: number[] = [];
  readonly #freeGib: readonly number[];
  readonly #fittingParts: number;

  /** @param fittingParts most parts with which a load does not run out of memory */
  constructor({ freeGib, fittingParts }: { freeGib: readonly number[]; fittingParts: number }) {
    this.#freeGib = freeGib;
    this.#fittingParts = fittingParts;
  }

  /** Loads the tiny model. */
  async load(options: GpuOptions = {}) {
    const { hiddenSize } = manifest.shape;
    const { stage, placement } = await loadStage(
      this.#library(),
      wholeModelLoad(manifest, {
        libraryDirectory: await libraryDirectory('cpu'),
        file,
        contextTokens: 64,
        sequences: 1,
        gpu: { backend: 'vulkan', options },
      }),
      { file, takesHidden: false, hiddenSize, contextTokens: 64, sequences: 1, batchTokens: 16, threads: 1 },
    );
    stage[Symbol.dispose]();
    return placement;
  }

  #library(): Libllama {
    return {
      ...library,
      deviceCount: () => this.#freeGib.length,
      device: (index) => BigInt(index + 1) as DevicePointer,
      deviceType: () => 1,
      deviceDescription: (device) => `GPU ${Number(device) - 1}`,
      deviceMemory: (device, free, total) => {
        free[0] = (this.#freeGib[Number(device) - 1] ?? 0) * gibibyte;
        total[0] = 24 * gibibyte;
      },
      loadModel: (path: string, params: Params) => {
        const parts = Number(params['n_gpu_layers']);
        this.loads.push(parts);
        if (parts > this.#fittingParts) {
          throw new SkeinError('engine-failed', 'unable to allocate buffer', { details: { outOfMemory: true } });
        }
        const onCpu = library.addressOf(BigUint64Array.of(0n));
        return library.loadModel(path, { ...params, devices: onCpu, n_gpu_layers: 0 });
      },
    };
  }
}

test('a stage that fits lies on the GPUs, all of it', async () => {
  const machine = new GpuMachine({ freeGib: [23, 23], fittingParts: 7 });
  const { devices, cpuLayers, fallbacks } = await machine.load();
  expect(devices.map(({ name, layers: count }) => [name, count])).toEqual([
    ['GPU 0', 3],
    ['GPU 1', 3],
  ]);
  expect([cpuLayers, fallbacks, machine.loads]).toEqual([0, [], [7]]);
});

test('a load that runs out of memory is tried again with fewer layers, and says so', async () => {
  const machine = new GpuMachine({ freeGib: [23], fittingParts: 4 });
  const placement = await machine.load();
  expect(machine.loads).toEqual([7, 6, 5, 4]);
  expect(placement).toMatchObject({ devices: [{ layers: 3 }], cpuLayers: 3 });
  expect(placement.fallbacks).toEqual([expect.stringMatching(/ran out 3 times/) as string]);
});

test('a load for which no GPU has memory fails, and does not go to the CPU in silence', async () => {
  await expect(new GpuMachine({ freeGib: [23], fittingParts: 0 }).load()).rejects.toMatchObject({
    code: 'engine-failed',
  });
  const full = new GpuMachine({ freeGib: [0.5], fittingParts: 7 });
  await expect(full.load()).rejects.toMatchObject({
    code: 'does-not-fit',
    message: expect.stringMatching(/GPU 0.*--backend cpu/) as string,
  });
  expect(full.loads).toEqual([]);
});

test('a load for a GPU fails where llama.cpp sees none, and on one that there is not', async () => {
  await expect(new GpuMachine({ freeGib: [], fittingParts: 7 }).load()).rejects.toMatchObject({
    code: 'engine-incompatible',
    message: expect.stringMatching(/vulkan backend has no GPU here/) as string,
  });
  await expect(new GpuMachine({ freeGib: [23], fittingParts: 7 }).load({ gpus: [1] })).rejects.toMatchObject({
    code: 'engine-incompatible',
    message: expect.stringMatching(/there is no GPU 1/) as string,
  });
});

test('the GPUs that are asked for are used, in their order', async () => {
  const machine = new GpuMachine({ freeGib: [23, 23, 23], fittingParts: 7 });
  const named = async (options: GpuOptions) => (await machine.load(options)).devices.map(({ name }) => name);
  expect(await named({ gpus: [2, 0] })).toEqual(['GPU 2', 'GPU 0']);
  expect(await named({ mainGpu: 1 })).toEqual(['GPU 1']);
});
