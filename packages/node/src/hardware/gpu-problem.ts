import { SkeinError } from '@skein/protocol';

/** Words of a failed load of a backend's library, and the fix. */
const fixes: readonly (readonly [RegExp, string])[] = [
  [/libcuda\.so|nvcuda/i, "install NVIDIA's driver"],
  [
    /libcudart|libcublas|cudart64|cublas(Lt)?64/i,
    "run `skein gpu setup`, which fetches NVIDIA's runtime libraries, and start Skein again",
  ],
  [/libvulkan|vulkan-1/i, "install the Vulkan driver of this machine's GPU"],
  [/GLIBCXX_/, 'use a system with the libstdc++ of GCC 12 or newer, such as Debian 12, Ubuntu 22.04 or Fedora 36'],
  [/MSVCP|VCRUNTIME/i, 'install the Visual C++ 2015–2022 runtime'],
];

/**
 * Returns the fix for a GPU backend that brings no GPU.
 *
 * @param reason words with which its library does not load; undefined when it loads, and lists no GPU
 */
export function gpuFix(backend: string, reason: string | undefined): string {
  if (reason === undefined) {
    return backend === 'cuda'
      ? "check that `nvidia-smi` lists the GPU, and update NVIDIA's driver"
      : "check the GPU's driver";
  }
  return fixes.find(([pattern]) => pattern.test(reason))?.[1] ?? '`skein gpu` shows what is missing';
}

/**
 * Makes the error for a GPU that was found or asked for, and that the engine does not see.
 *
 * @param reason as for {@link gpuFix}
 */
export function noGpu(backend: string, reason: string | undefined): SkeinError {
  const why = reason === undefined ? 'its driver lists none' : `its library does not load (${reason})`;
  return new SkeinError(
    'engine-incompatible',
    `the ${backend} backend has no GPU here: ${why}; ${gpuFix(backend, reason)}, or use --backend cpu`,
  );
}
