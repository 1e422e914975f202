import type { Hardware, HeldStage } from '../mesh/card.ts';
import { placedDeviceBytes } from './placement.ts';

/**
 * Memory of each GPU that stages leave alone, in bytes: compute buffers, the driver's own needs, its owner's desktop.
 * llama.cpp's own fitting keeps as much.
 */
export const keptDeviceBytes = 1024 ** 3;

/** Memory that one more stage may take on a machine, in bytes. Both are 0 where none fits. */
export interface MemoryRoom {
  /** Room in the memory of its GPUs, all of them together. */
  readonly deviceBytes: number;
  /** Room in main memory, for what has to lie there. Where GPUs share it, it is all of the room. */
  readonly mainBytes: number;
  /** Room on the machine, for a stage whose first layers the CPU computes where they do not fit on GPUs. */
  readonly bytes: number;
}

/** Memory of a stage that a machine holds. */
export interface TakenMemory {
  readonly bytes: number;
  /** Bytes of it on GPUs. Default: as many as fit there. */
  readonly deviceBytes?: number | undefined;
  /** Whether it has not taken its bytes yet. */
  readonly isLoading: boolean;
}

/** Returns the memory of a stage as its card tells. */
export function takenBy({ bytes, state, placement }: HeldStage): TakenMemory {
  return { bytes, deviceBytes: placement && placedDeviceBytes(placement), isLoading: state === 'loading' };
}

interface Memory {
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
}

/**
 * Returns the room for one more stage on a machine:
 *
 *     min(free now - stages that load, all memory - all stages), and not below 0
 *
 * for each kind of memory: that of its GPUs, less 1 GiB each, and main memory. Free memory alone promises too much: a
 * stage that loads has not taken its bytes yet, and mapped weights count as free for as long as it is loaded. All memory
 * less the stages promises too much where other programs run.
 *
 * Memory that GPUs share with the CPU is counted once, and Metal's recommendation bounds all of it. A machine whose
 * GPUs are full has no room: its user wants that GPU, and would get the CPU's speed.
 *
 * @param taken stages that the machine holds or is about to hold
 */
export function memoryRoom(hardware: Hardware, taken: readonly TakenMemory[] = []): MemoryRoom {
  const { backend, gpus } = hardware;
  if (backend === 'cpu' || gpus.length === 0) {
    const mainBytes = left(hardware, taken);
    return { deviceBytes: 0, mainBytes, bytes: mainBytes };
  }
  const devices: Memory = {
    memoryBytes: sumOf(gpus, (gpu) => Math.max(0, gpu.memoryBytes - keptDeviceBytes)),
    freeMemoryBytes: sumOf(gpus, (gpu) => Math.max(0, gpu.freeMemoryBytes - keptDeviceBytes)),
  };
  if (gpus.some(({ sharesMainMemory }) => sharesMainMemory)) {
    const freeBytes = left(hardware, taken);
    const deviceBytes = Math.min(left(devices, taken), freeBytes);
    const bytes = backend === 'metal' || deviceBytes === 0 ? deviceBytes : freeBytes;
    return { deviceBytes, mainBytes: bytes, bytes };
  }
  const { onDevices, inMain } = partTaken(taken, devices.memoryBytes);
  const deviceBytes = left(devices, onDevices);
  const mainBytes = deviceBytes === 0 ? 0 : left(hardware, inMain);
  return { deviceBytes, mainBytes, bytes: deviceBytes + mainBytes };
}

/**
 * Tells what stages take of the memory of GPUs from what they take of main memory. Stages that do not say fill what the
 * others leave on the GPUs.
 */
function partTaken(
  taken: readonly TakenMemory[],
  memoryBytes: number,
): { readonly onDevices: readonly TakenMemory[]; readonly inMain: readonly TakenMemory[] } {
  let unclaimed = Math.max(0, memoryBytes - sumOf(taken, ({ deviceBytes = 0 }) => deviceBytes));
  const parts = taken.map((stage) => {
    const onDevices = stage.deviceBytes ?? Math.min(stage.bytes, unclaimed);
    if (stage.deviceBytes === undefined) unclaimed -= onDevices;
    return { stage, onDevices };
  });
  return {
    onDevices: parts.map(({ stage, onDevices }) => ({ ...stage, bytes: onDevices })),
    inMain: parts.map(({ stage, onDevices }) => ({ ...stage, bytes: Math.max(0, stage.bytes - onDevices) })),
  };
}

function left({ memoryBytes, freeMemoryBytes }: Memory, taken: readonly TakenMemory[]): number {
  const allBytes = sumOf(taken, ({ bytes }) => bytes);
  const loadingBytes = sumOf(taken, ({ bytes, isLoading }) => (isLoading ? bytes : 0));
  return Math.max(0, Math.min(freeMemoryBytes - loadingBytes, memoryBytes - allBytes));
}

function sumOf<Item>(items: readonly Item[], amountOf: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + amountOf(item), 0);
}
