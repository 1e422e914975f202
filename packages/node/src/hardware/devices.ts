import { invariant, SkeinError } from '@skein/protocol';

/** A GPU as llama.cpp lists it. */
export interface GpuDevice {
  readonly name: string;
  /** Whether its memory is main memory, shared with the CPU. */
  readonly sharesMainMemory: boolean;
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
}

/**
 * Chooses the GPUs that stages are placed on: the ones asked for, by their numbers from 0 as `skein gpu` lists them;
 * else those with memory of their own; else those that share main memory.
 *
 * @throws SkeinError `engine-incompatible` for a number that no GPU has
 */
export function chooseGpus<Device extends Pick<GpuDevice, 'sharesMainMemory'>>(
  devices: readonly Device[],
  asked?: readonly number[],
): readonly Device[] {
  if (asked !== undefined) {
    return asked.map((index) => {
      if (index >= devices.length) throw noSuchGpu(index, devices.length);
      return invariant(devices[index], 'a GPU that was counted is there');
    });
  }
  const separate = devices.filter(({ sharesMainMemory }) => !sharesMainMemory);
  return separate.length > 0 ? separate : devices;
}

function noSuchGpu(index: number, count: number): SkeinError {
  const known = count === 1 ? 'one GPU, number 0' : `${count} GPUs, numbers 0 to ${count - 1}`;
  return new SkeinError(
    'engine-incompatible',
    `there is no GPU ${index}: this machine has ${count === 0 ? 'none' : known}; \`skein gpu\` lists them`,
  );
}
