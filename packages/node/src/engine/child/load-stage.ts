import { isSkeinError, SkeinError, type StagePlacement } from '@skein/protocol';

import { applyGpuOptions, type GpuChoice } from '../../hardware/gpu-options.ts';
import { noGpu } from '../../hardware/gpu-problem.ts';
import type { EngineLoad } from '../control.ts';
import { missingGpu } from '../libllama/backend-failure.ts';
import { listGpus, type EngineGpu } from '../libllama/gpus.ts';
import type { Libllama } from '../libllama/libllama.ts';
import { Stage, type StageOptions } from '../stage/stage.ts';
import { areWeightsRepacked } from './repacked-weights.ts';
import { chooseExpertOffload, roomsOn, type ExpertOffload, type StageSizes } from './offload.ts';
import { readStageSizes } from './stage-sizes.ts';

/** Share of a stage's parts that stays on GPUs when it is tried again after their memory ran out. */
const keptShare = 7 / 8;

/** A loaded stage, and where it lies. */
export interface PlacedStage {
  readonly stage: Stage;
  readonly placement: StagePlacement;
}

/**
 * Loads a stage onto the GPUs that the load asks for, and what does not fit there into main memory; onto the CPU alone
 * where it asks for none. Tries again with less on the GPUs when their memory runs out.
 *
 * @throws SkeinError `engine-incompatible` when a GPU is asked for and there is none, `does-not-fit` when the GPUs have
 * no room for a single layer, and the errors of {@link Stage}
 */
export async function loadStage(
  library: Libllama,
  load: EngineLoad,
  options: Omit<StageOptions, 'offload' | 'mapsWeights'>,
): Promise<PlacedStage> {
  if (load.gpu === undefined) {
    const stage = new Stage(library, { ...options, mapsWeights: !(await areWeightsRepacked(load.file)) });
    return { stage, placement: { backend: 'cpu', devices: [], cpuLayers: load.layers, fallbacks: [] } };
  }
  const { backend } = load.gpu;
  const devices = listGpus(library, backend);
  if (devices.length === 0) throw noGpu(backend, missingGpu(load.libraryDirectory, backend));
  const choice = applyGpuOptions(devices, load.gpu.options, backend);
  const sizes = await readStageSizes(load.file, load);
  const { stage, offload, retries } = loadWithRetries(library, {
    options,
    choice,
    sizes,
    expertLayers: load.cpuExpertLayers,
  });
  const gpuLayers = offload.devices.reduce((sum, { layers }) => sum + layers, 0);
  const placed = choice.gpus.flatMap(({ name }, index) => {
    const { layers = 0, bytes = 0 } = offload.devices[index] ?? {};
    return bytes === 0 ? [] : { name: name.slice(0, maxNameLength), layers, bytes };
  });
  const experts = offload.expertLayers > 0 ? { expertLayers: offload.expertLayers } : {};
  const fallbacks = [
    ...(library.usesFallback ? [`the older build of ${backend}, since the newest does not load here`] : []),
    ...(retries > 0 ? [`fewer layers on GPUs than fit by their free memory: it ran out ${timesOf(retries)}`] : []),
  ];
  return { stage, placement: { backend, devices: placed, cpuLayers: load.layers - gpuLayers, ...experts, fallbacks } };
}

const maxNameLength = 256;

function timesOf(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function loadWithRetries(
  library: Libllama,
  asked: {
    readonly options: Omit<StageOptions, 'offload' | 'mapsWeights'>;
    readonly choice: GpuChoice<EngineGpu>;
    readonly sizes: StageSizes;
    readonly expertLayers: number | undefined;
  },
): { readonly stage: Stage; readonly offload: ExpertOffload; readonly retries: number } {
  const { options, choice, sizes, expertLayers } = asked;
  const { gpus, spread, splitsRows } = choice;
  const rooms = roomsOn(gpus);
  let most = sizes.layers.length + 1;
  let least = 0;
  for (let retries = 0; ; retries += 1) {
    const offload = chooseExpertOffload(sizes, { rooms, spread, most, expertLayers, least });
    if (offload.parts === 0) throw gpusFull(gpus);
    const counts = offload.devices.map(({ parts }) => parts);
    const shares = splitsRows && spread.by === 'shares' ? spread.shares : counts;
    const devices = gpus.map(({ device }) => device);
    try {
      const stage = new Stage(library, {
        ...options,
        offload: { devices, parts: offload.parts, shares, splitsRows, expertLayers: offload.expertLayers },
      });
      return { stage, offload, retries };
    } catch (error) {
      if (!isSkeinError(error) || error.details['outOfMemory'] !== true || offload.parts === 1) throw error;
      // More experts leave first, where there are more.
      const further = offload.expertLayers + Math.ceil(sizes.layers.length * (1 - keptShare));
      const { expertLayers: reached } = chooseExpertOffload(sizes, {
        rooms,
        spread,
        most,
        expertLayers,
        least: further,
      });
      if (reached > offload.expertLayers) least = further;
      else most = Math.floor(offload.parts * keptShare);
    }
  }
}

function gpusFull(gpus: readonly EngineGpu[]): SkeinError {
  const names = gpus.map(({ name }) => name).join(', ');
  return new SkeinError(
    'does-not-fit',
    `no layer of the stage fits into the free memory of ${names}; close other programs that use it, or start Skein with --backend cpu`,
  );
}
