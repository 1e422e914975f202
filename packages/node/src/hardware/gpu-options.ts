import { maxGpus, SkeinError } from '@skein/protocol';
import { z } from 'zod';

import { chooseGpus, type GpuDevice } from './devices.ts';

/** Ways to spread a stage over several GPUs: whole layers, or the rows of each matrix. */
export const splitModes = ['layer', 'row'] as const;

const gpuNumber = z.number().int().nonnegative();

/** The wishes of a machine's owner for its GPUs. GPUs are numbered from 0 as `skein gpu` lists them. */
export const gpuOptionsSchema = z.object({
  /** GPUs to use, in this order. Default: all with memory of their own, else integrated ones. */
  gpus: z.array(gpuNumber).min(1).max(maxGpus).readonly().optional(),
  /** Default `layer`. `row` lets all GPUs compute each layer together; it needs CUDA and a fast bus between them. */
  splitMode: z.enum(splitModes).optional(),
  /** Share of a stage for each of the used GPUs, as ratios. Default: by their free memory. */
  tensorSplit: z.array(z.number().nonnegative()).min(1).max(maxGpus).readonly().optional(),
  /** GPU that is filled before others get anything. Default: all are filled evenly. */
  mainGpu: gpuNumber.optional(),
});
export type GpuOptions = z.infer<typeof gpuOptionsSchema>;

/** A way to spread a stage over GPUs. */
export type Spread =
  /** Each is filled to the same share of its room. */
  | { readonly by: 'room' }
  /** Each is filled before the next gets anything. */
  | { readonly by: 'order' }
  /** Each gets its share of the layers, whatever their sizes. */
  | { readonly by: 'shares'; readonly shares: readonly number[] };

/** The GPUs that stages are placed on, and how. */
export interface GpuChoice<Device> {
  readonly gpus: readonly Device[];
  readonly spread: Spread;
  /** Whether each matrix is spread by its rows. */
  readonly splitsRows: boolean;
}

/**
 * Chooses GPUs as their owner wishes.
 *
 * @param devices all GPUs of the machine, in llama.cpp's order
 * @throws SkeinError `engine-incompatible` for wishes that these GPUs can't fulfil
 */
export function applyGpuOptions<Device extends GpuDevice>(
  devices: readonly Device[],
  { gpus: asked, splitMode = 'layer', tensorSplit, mainGpu }: GpuOptions,
  backend: string,
): GpuChoice<Device> {
  const gpus = chooseGpus(devices, asked);
  if (gpus.length === 0 && tensorSplit !== undefined) throw refusal('--tensor-split needs a GPU; leave it out');
  if (tensorSplit !== undefined && tensorSplit.length !== gpus.length) {
    throw refusal(`--tensor-split has ${tensorSplit.length} shares for ${gpus.length} GPUs; give one for each`);
  }
  if (tensorSplit?.every((share) => share === 0) === true) throw refusal('--tensor-split gives no GPU anything');
  if (mainGpu !== undefined && (tensorSplit !== undefined || splitMode === 'row')) {
    throw refusal('--main-gpu does not go with --tensor-split or --split-mode row; leave one out');
  }
  const splitsRows = splitMode === 'row' && gpus.length > 1;
  if (splitsRows) assertRowsSplit(devices, gpus, backend);
  if (mainGpu !== undefined) {
    const [main] = chooseGpus(devices, [mainGpu]);
    const others = gpus.filter((gpu) => gpu !== main);
    if (main === undefined || others.length === gpus.length) {
      throw refusal(`--main-gpu ${mainGpu} is not among the GPUs in use; add it to --gpus`);
    }
    return { gpus: [main, ...others], spread: { by: 'order' }, splitsRows };
  }
  if (tensorSplit !== undefined) return { gpus, spread: { by: 'shares', shares: tensorSplit }, splitsRows };
  if (!splitsRows) return { gpus, spread: { by: 'room' }, splitsRows };
  return { gpus, spread: { by: 'shares', shares: gpus.map(({ memoryBytes }) => memoryBytes) }, splitsRows };
}

function assertRowsSplit<Device>(devices: readonly Device[], gpus: readonly Device[], backend: string): void {
  if (backend !== 'cuda') throw refusal(`--split-mode row needs the cuda backend, not ${backend}; use layer`);
  // llama.cpp numbers the shares of rows by the driver's own count of GPUs.
  if (gpus.length === devices.length && gpus.every((gpu, index) => gpu === devices[index])) return;
  throw refusal('--split-mode row takes all GPUs in order; hide others with CUDA_VISIBLE_DEVICES, not with --gpus');
}

function refusal(message: string): SkeinError {
  return new SkeinError('engine-incompatible', message);
}
