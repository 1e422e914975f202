import type { Backend } from './backend.ts';
import type { GpuDevice } from './devices.ts';
import type { GpuOptions } from './gpu-options.ts';
import type { MemoryReadings } from './main-memory.ts';

/** A machine as its operating system and llama.cpp describe it, for tests of what Skein makes of it. */
export interface RecordedMachine {
  readonly machine: string;
  readonly backend: Backend;
  /** All GPUs, in llama.cpp's order. */
  readonly gpus: readonly GpuDevice[];
  readonly memory: MemoryReadings;
  /** Wishes of its owner. Default: none. */
  readonly options?: GpuOptions;
}

const gibibyte = 1024 ** 3;

/** Describes a GPU with memory of its own, in GiB: all of it, and what is free. */
function gpu(name: string, all: number, free: number): GpuDevice {
  return { name, sharesMainMemory: false, memoryBytes: all * gibibyte, freeMemoryBytes: free * gibibyte };
}

/** Describes a GPU that shares main memory. */
function shared(name: string, all: number, free: number): GpuDevice {
  return { ...gpu(name, all, free), sharesMainMemory: true };
}

/** Describes main memory without a limit, in GiB. */
function ram(all: number, available: number): MemoryReadings {
  return {
    totalBytes: all * gibibyte,
    freeBytes: available * gibibyte,
    limitBytes: 0,
    availableBytes: available * gibibyte,
    cacheBytes: 0,
  };
}

/** Describes the memory of a container, in GiB: its limit, what is left of that, and how much of the rest is cache. */
function container(host: MemoryReadings, limits: { limit: number; left: number; cache: number }): MemoryReadings {
  const { limit, left, cache } = limits;
  return {
    ...host,
    limitBytes: limit * gibibyte,
    availableBytes: left * gibibyte,
    cacheBytes: cache * gibibyte,
  };
}

const rtx3090 = (): GpuDevice => gpu('NVIDIA GeForce RTX 3090', 24, 23.5);
const rtx4090 = (): GpuDevice => gpu('NVIDIA GeForce RTX 4090', 24, 23);
const p40 = (): GpuDevice => gpu('Tesla P40', 24, 23.75);
const xtx = (): GpuDevice => gpu('AMD Radeon RX 7900 XTX (RADV NAVI31)', 24, 23.25);
const irisXe = shared('Intel(R) Iris(R) Xe Graphics (RPL-P)', 11.5, 10);
const noGpus: readonly GpuDevice[] = [];

export const recordedMachines = [
  { machine: 'a gaming PC with a 4090', backend: 'cuda', gpus: [rtx4090()], memory: ram(64, 52) },
  { machine: 'a PC with a 3090 and 16 GB', backend: 'cuda', gpus: [rtx3090()], memory: ram(16, 11) },
  { machine: 'a rig with 2 × 3090 and 32 GB', backend: 'cuda', gpus: [rtx3090(), rtx3090()], memory: ram(32, 27) },
  {
    machine: 'a rig with 4 × 3090 and 64 GB',
    backend: 'cuda',
    gpus: [rtx3090(), rtx3090(), rtx3090(), rtx3090()],
    memory: ram(64, 58),
  },
  { machine: 'an old server with 3 × P40', backend: 'cuda', gpus: [p40(), p40(), p40()], memory: ram(32, 28) },
  {
    machine: 'a server with 8 × H100',
    backend: 'cuda',
    gpus: Array.from({ length: 8 }, () => gpu('NVIDIA H100 80GB HBM3', 79.6, 79)),
    memory: ram(1024, 980),
  },
  {
    machine: 'a PC with a 3090 beside a 3060',
    backend: 'cuda',
    gpus: [rtx3090(), gpu('NVIDIA GeForce RTX 3060', 12, 11.5)],
    memory: ram(32, 24),
  },
  {
    machine: 'a PC whose integrated GPU comes before its 7900 XTX',
    backend: 'vulkan',
    gpus: [shared('AMD Radeon Graphics (RADV RAPHAEL_MENDOCINO)', 16, 15), xtx()],
    memory: ram(32, 26),
  },
  {
    machine: 'a PC with an Arc A770 before its integrated GPU',
    backend: 'vulkan',
    gpus: [gpu('Intel(R) Arc(TM) A770 Graphics (DG2)', 16, 15.5), shared('Intel(R) UHD Graphics 770', 16, 15)],
    memory: ram(32, 25),
  },
  {
    machine: 'a gaming laptop, a 4060 by Vulkan',
    backend: 'vulkan',
    gpus: [irisXe, gpu('NVIDIA GeForce RTX 4060 Laptop GPU', 8, 7.25)],
    memory: ram(16, 9),
  },
  {
    machine: 'a laptop with a GTX 1650',
    backend: 'cuda',
    gpus: [gpu('NVIDIA GeForce GTX 1650', 4, 3.5)],
    memory: ram(16, 10),
  },
  { machine: 'an office laptop with Iris Xe', backend: 'vulkan', gpus: [irisXe], memory: ram(16, 7) },
  {
    machine: 'a PC whose GPU a game fills',
    backend: 'cuda',
    gpus: [gpu('NVIDIA GeForce RTX 2060', 6, 0.5)],
    memory: ram(16, 8),
  },
  {
    machine: 'a Steam Deck',
    backend: 'vulkan',
    gpus: [shared('AMD Custom GPU 0405 (RADV VANGOGH)', 8.5, 7.5)],
    memory: ram(14.5, 9),
  },
  {
    machine: 'a Strix Halo with 128 GB',
    backend: 'vulkan',
    gpus: [shared('AMD Radeon 8060S Graphics (RADV GFX1151)', 110, 108)],
    memory: ram(125, 117),
  },
  {
    machine: 'a MacBook Air M2 with 16 GB and a busy browser',
    backend: 'metal',
    gpus: [shared('Apple M2', 10.67, 10.67)],
    memory: ram(16, 5),
  },
  {
    machine: 'a Mac Studio M2 Ultra with 192 GB',
    backend: 'metal',
    gpus: [shared('Apple M2 Ultra', 144, 144)],
    memory: ram(192, 176),
  },
  { machine: 'a MacBook Pro with an Intel CPU', backend: 'cpu', gpus: noGpus, memory: ram(32, 19) },
  { machine: 'a Raspberry Pi 5 with 8 GB', backend: 'cpu', gpus: noGpus, memory: ram(7.75, 6.5) },
  { machine: 'a Raspberry Pi 4 with 2 GB', backend: 'cpu', gpus: noGpus, memory: ram(1.75, 1.25) },
  { machine: 'a NAS with 128 GB', backend: 'cpu', gpus: noGpus, memory: ram(126, 110) },
  {
    machine: 'WSL2 on a PC with a 3080',
    backend: 'cuda',
    gpus: [gpu('NVIDIA GeForce RTX 3080', 10, 8.75)],
    memory: ram(15.5, 13),
  },
  {
    machine: 'a container with 8 GB on a server with 64',
    backend: 'cpu',
    gpus: noGpus,
    memory: container(ram(64, 40), { limit: 8, left: 1, cache: 5 }),
  },
  {
    machine: 'a container with 4 GB and a 3090',
    backend: 'cuda',
    gpus: [rtx3090()],
    memory: container(ram(64, 50), { limit: 4, left: 3, cache: 0.5 }),
  },
  {
    machine: 'a container with more than its host has free',
    backend: 'cpu',
    gpus: noGpus,
    memory: container(ram(16, 3), { limit: 12, left: 10, cache: 1 }),
  },
  {
    machine: 'a rig of which the first and the last GPU are lent',
    backend: 'cuda',
    gpus: [rtx3090(), rtx4090(), gpu('NVIDIA GeForce RTX 3060', 12, 11.5)],
    memory: ram(64, 50),
    options: { gpus: [0, 2] },
  },
  {
    machine: 'a rig that fills its second GPU first',
    backend: 'cuda',
    gpus: [rtx3090(), rtx4090()],
    memory: ram(64, 50),
    options: { mainGpu: 1 },
  },
  {
    machine: 'a rig with shares of its own',
    backend: 'cuda',
    gpus: [rtx3090(), rtx3090()],
    memory: ram(64, 50),
    options: { tensorSplit: [3, 1] },
  },
] as const satisfies readonly RecordedMachine[];
