import type { Hardware } from '@skein/protocol';

/** The speed that a kind of device has with llama.cpp, as far as its data sheet tells. */
export interface DeviceClass {
  /** Bytes of weights that it reads in a second while it decodes one row. */
  readonly bytesPerSecond: number;
  /** Floating-point operations in a second while it reads a prompt. */
  readonly flops: number;
}

/**
 * Share of a device's memory bandwidth that decoding uses. llama.cpp's published tables for Llama 2 7B in Q4_0 (3.82 GB)
 * give 0.58 to 0.63 for an M1 Max, an M3 Max and an RTX 4090, 0.45 for an M2 Ultra, 0.79 for an M1
 * (ggml-org/llama.cpp, discussions 4167 and 15013).
 */
const bandwidthShare = 0.6;
/** Share of a device's f16 operations that prefill uses: 0.2 to 0.35 in the same tables. */
const flopsShare = 0.25;

type KnownDevice = readonly [name: RegExp, gigabytes: number, teraflops: number];

/**
 * Devices by their names: memory bandwidth in GB/s and dense f16 TFLOPS, from the makers' data sheets. Of two entries
 * that match, the first counts, so that "4070 Ti" stands before "4070".
 */
const knownDevices: readonly KnownDevice[] = [
  [/\bH200\b/, 4800, 990],
  [/\bH100\b/, 3350, 990],
  [/\bA100\b/, 1555, 312],
  [/\bL40S?\b/, 864, 181],
  [/\bL4\b/, 300, 121],
  [/\bA10G?\b/, 600, 125],
  [/\bV100\b/, 900, 112],
  [/\bT4\b/, 320, 65],
  [/\bP40\b/, 347, 12],
  [/RTX PRO 6000/, 1792, 250],
  [/RTX 6000 Ada/, 960, 182],
  [/RTX A6000/, 768, 155],
  [/RTX 5090/, 1792, 210],
  [/RTX 5080/, 960, 113],
  [/RTX 5070 Ti/, 896, 88],
  [/RTX 5070/, 672, 62],
  [/RTX 5060/, 448, 40],
  [/RTX 4090/, 1008, 165],
  [/RTX 4080/, 717, 97],
  [/RTX 4070 Ti SUPER/i, 672, 88],
  [/RTX 4070/, 504, 58],
  [/RTX 4060/, 272, 30],
  [/RTX 3090/, 936, 71],
  [/RTX 3080/, 760, 59],
  [/RTX 3070/, 448, 40],
  [/RTX 3060/, 360, 25],
  [/RTX 30[05]0/, 192, 12],
  [/RTX 20[78]0/, 448, 30],
  [/RTX 2060/, 336, 26],
  [/GTX 1080 Ti/, 484, 11],
  [/GTX 1[06]\d0/, 192, 6],
  [/MI300X/, 5300, 1300],
  [/MI2\d0X?/, 1600, 180],
  [/RX 7900/, 900, 110],
  [/RX 7[78]00/, 576, 65],
  [/RX 6[89]00/, 512, 40],
  [/RX 9070/, 640, 97],
  [/Arc.*A7[57]0/, 560, 35],
  [/Arc.*B5[78]0/, 456, 25],
  [/Apple M[1-9] Ultra/, 800, 45],
  [/Apple M[45] Max/, 500, 35],
  [/Apple M[123] Max/, 400, 24],
  [/Apple M[45] Pro/, 273, 17],
  [/Apple M3 Pro/, 150, 13],
  [/Apple M[12] Pro/, 200, 11],
  [/Apple M[45]\b/, 120, 8],
  [/Apple M[123]\b/, 80, 5],
];

/** A GPU that is not in the table: slower than most that people buy for this. */
const unknownGpu: KnownDevice = [/./, 200, 10];
/** A GPU that shares main memory with the CPU and is not in the table. */
const integratedGpu: KnownDevice = [/./, 40, 2];

/** Processors of servers and workstations, with more than two memory channels. */
const serverCpu = /EPYC|Xeon|Threadripper|Neoverse|Graviton/i;
/** Gigabytes a second of main memory: two channels of DDR4, and of a server's or a workstation's. */
const mainMemory = { desktop: 40, server: 120 } as const;
/** Gigabytes of weights a second that one core decodes: quantized weights cost it more than reading them. */
const decodedPerCore = 5;
/** Teraflops of one core with the vector units that all processors of the last ten years have. */
const teraflopsPerCore = 0.1;

/** Returns the class of a machine's processor. */
export function cpuClass({ cpu, cores }: Pick<Hardware, 'cpu' | 'cores'>): DeviceClass {
  const known = knownDevices.find(([name]) => name.test(cpu));
  const gigabytes = known?.[1] ?? (serverCpu.test(cpu) ? mainMemory.server : mainMemory.desktop);
  return {
    bytesPerSecond: Math.min(gigabytes * bandwidthShare, cores * decodedPerCore) * 1e9,
    flops: cores * teraflopsPerCore * flopsShare * 1e12,
  };
}

/** Returns the class of a machine's GPUs: of several, each computes its share of the layers, one after the other. */
export function gpuClass({ gpus }: Pick<Hardware, 'gpus'>): DeviceClass {
  const allBytes = gpus.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  let [secondsPerByte, secondsPerOperation] = [0, 0];
  for (const { name, memoryBytes, sharesMainMemory = false } of gpus) {
    const other = sharesMainMemory ? integratedGpu : unknownGpu;
    const [, gigabytes, teraflops] = knownDevices.find(([pattern]) => pattern.test(name)) ?? other;
    const share = allBytes === 0 ? 1 / gpus.length : memoryBytes / allBytes;
    secondsPerByte += share / (gigabytes * bandwidthShare * 1e9);
    secondsPerOperation += share / (teraflops * flopsShare * 1e12);
  }
  return { bytesPerSecond: 1 / secondsPerByte, flops: 1 / secondsPerOperation };
}
