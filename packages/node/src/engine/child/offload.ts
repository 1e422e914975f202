import type { EngineLoad } from '../control.ts';
import type { Libllama } from '../libllama/libllama.ts';

/** Values of `ggml_backend_dev_type` that are GPUs: 1 has memory of its own, 2 shares the CPU's. 0 is the CPU. */
const gpuDeviceTypes: ReadonlySet<number> = new Set([1, 2]);
/** Share of a GPU's free memory that is left for compute buffers and for its owner's desktop. */
const keptShare = 0.1;

/**
 * Chooses how many layers go to the GPU: all when weights and KV cache fit into its free memory, else as many as fit.
 * The output layer counts as one more in llama.cpp, which takes any greater number for all.
 */
export function chooseOffload(
  library: Libllama,
  load: Pick<EngineLoad, 'offload' | 'layers' | 'neededBytes'>,
): { layers: number; device: string } {
  const devices = Array.from({ length: library.deviceCount() }, (_, index) => library.device(index));
  const gpu = load.offload ? devices.find((device) => gpuDeviceTypes.has(library.deviceType(device))) : undefined;
  if (gpu === undefined) return { layers: 0, device: 'cpu' };
  const free: [number] = [0];
  const total: [number] = [0];
  library.deviceMemory(gpu, free, total);
  const share = (free[0] * (1 - keptShare)) / Math.max(load.neededBytes, 1);
  const layers = share >= 1 ? load.layers + 1 : Math.floor(share * load.layers);
  return { layers, device: library.deviceDescription(gpu) };
}
