import { SkeinError } from '@skein/protocol';

/** A GPU backend that brings no GPU. */
export interface MissingGpu {
  /** Words with which its library does not load; undefined when it loads, and lists no GPU. */
  readonly failure?: string | undefined;
  /** Whether the driver of an NVIDIA GPU is there. */
  readonly hasDriver: boolean;
}

const setup = "run `skein gpu setup`, which fetches NVIDIA's runtime libraries, and start Skein again";

/** Words of a failed load that lacks NVIDIA's runtime libraries. */
const runtimeLibraries = /libcudart|libcublas|cudart64|cublas(Lt)?64/i;

/** Words of a failed load of a backend's library, and the fix. */
const fixes: readonly (readonly [RegExp, string])[] = [
  [/libcuda\.so|nvcuda/i, "install NVIDIA's driver"],
  [runtimeLibraries, setup],
  [/libvulkan|vulkan-1/i, "install the Vulkan driver of this machine's GPU"],
  [/GLIBCXX_/, 'use a system with the libstdc++ of GCC 12 or newer, such as Debian 12, Ubuntu 22.04 or Fedora 36'],
  [/MSVCP|VCRUNTIME/i, 'install the Visual C++ 2015–2022 runtime'],
];

/** Returns the reason why a backend has no GPU, without the fix. */
export function gpuReason(backend: string, { failure, hasDriver }: MissingGpu): string {
  if (failure === undefined) return 'its driver lists none';
  const load = `its library does not load (${failure})`;
  return backend === 'cuda' && !hasDriver ? `there is no driver of NVIDIA's, and ${load}` : load;
}

/** Returns the fix for a backend that has no GPU. */
export function gpuFix(backend: string, { failure, hasDriver }: MissingGpu): string {
  if (failure === undefined) {
    return backend === 'cuda'
      ? "check that `nvidia-smi` lists the GPU, and update NVIDIA's driver"
      : "check the GPU's driver";
  }
  const fix = fixes.find(([pattern]) => pattern.test(failure))?.[1] ?? '`skein gpu` shows what is missing';
  return fix === setup && !hasDriver ? `install NVIDIA's driver, then ${setup}` : fix;
}

/** Tells whether nothing but NVIDIA's runtime libraries is missing. */
export function lacksRuntime({ failure = '', hasDriver }: MissingGpu): boolean {
  return hasDriver && runtimeLibraries.test(failure);
}

/** Makes the error for a GPU that was found or asked for, and that the engine does not see. */
export function noGpu(backend: string, missing: MissingGpu): SkeinError {
  return new SkeinError(
    'engine-incompatible',
    `the ${backend} backend has no GPU here: ${gpuReason(backend, missing)}; ${gpuFix(backend, missing)}, or use --backend cpu`,
  );
}
