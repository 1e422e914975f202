import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import koffi from 'koffi';

import type { MissingGpu } from '../../hardware/gpu-problem.ts';
import type { GpuSoftware } from '../../hardware/gpu-software.ts';
import { publicReason } from './load-failure.ts';

/** Words of koffi before the operating system's. */
const koffiWords = /^Failed to load shared library: /;

/** Describes why a GPU backend of a directory, which llama.cpp has loaded or tried to load, brings no GPU. */
export function missingGpu(directory: string, backend: string): MissingGpu {
  const hasDriver = backend === 'cuda' && loads(drivers.cuda);
  return { failure: backendFailure(directory, backend), hasDriver };
}

const isWindows = process.platform === 'win32';
/** Libraries of the system by which backends reach the GPU. */
const drivers = isWindows
  ? { cuda: 'nvcuda.dll', vulkan: 'vulkan-1.dll' }
  : { cuda: 'libcuda.so.1', vulkan: 'libvulkan.so.1' };
/** Versions of CUDA that llama.cpp is built for, the newest first. */
const cudaVersions = [13, 12] as const;

/** Finds the system's libraries that a GPU backend needs. */
export function findSoftware(backend: 'cuda' | 'vulkan'): GpuSoftware {
  const driver = loads(drivers[backend]) ? drivers[backend] : undefined;
  if (backend === 'vulkan') return { driver };
  const newest = driver === undefined ? undefined : newestCuda(driver);
  const runtimes = cudaVersions.filter((version) => runtimeOf(version).every(loads));
  return {
    driver: newest === undefined ? driver : `${driver}, for CUDA up to ${newest}`,
    runtimes: runtimes.map((version) => `CUDA ${version}`),
  };
}

function runtimeOf(version: number): readonly string[] {
  return isWindows
    ? [`cudart64_${version}.dll`, `cublas64_${version}.dll`, `cublasLt64_${version}.dll`]
    : ['libcudart', 'libcublas', 'libcublasLt'].map((name) => `${name}.so.${version}`);
}

function loads(library: string): boolean {
  try {
    koffi.load(library);
    return true;
  } catch {
    return false;
  }
}

/** Asks NVIDIA's driver for the newest CUDA that it runs; undefined when it does not say. */
function newestCuda(driver: string): string | undefined {
  try {
    const ask = koffi.load(driver).func('int cuDriverGetVersion(_Out_ int *version)') as (version: [number]) => number;
    const version: [number] = [0];
    if (ask(version) !== 0 || version[0] === 0) return undefined;
    return `${Math.trunc(version[0] / 1000)}.${Math.trunc((version[0] % 1000) / 10)}`;
  } catch {
    return undefined;
  }
}

/**
 * Returns the reason why a GPU backend of a directory does not load, in the operating system's words; undefined when it
 * loads. llama.cpp's own loader is silent about it.
 */
function backendFailure(directory: string, backend: string): string | undefined {
  const pattern = new RegExp(String.raw`^(lib)?ggml-${backend}\.(so|dylib|dll)$`);
  const file = readdirSync(directory).find((entry) => pattern.test(entry));
  if (file === undefined) return `ggml-${backend} is missing`;
  try {
    koffi.load(join(directory, file));
    return undefined;
  } catch (error) {
    return publicReason((error instanceof Error ? error.message : String(error)).replace(koffiWords, ''), directory);
  }
}
