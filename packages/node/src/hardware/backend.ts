import { join } from 'node:path';

import { isAnything } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

/** Compute backends of llama.cpp that node-llama-cpp ships. */
export const backends = ['cpu', 'cuda', 'vulkan', 'metal'] as const;
export type Backend = (typeof backends)[number];

const systems: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'mac', win32: 'win' };

/** Directories of llama.cpp's shared libraries for a backend. */
export interface LibraryDirectories {
  readonly directory: string;
  /** Directory of an older build of the GPU backend: of CUDA, that for CUDA 12 and for cards that 13 has dropped. */
  readonly fallbackDirectory: string | undefined;
  /** Directory of NVIDIA's runtime libraries, where Skein has fetched them. */
  readonly runtimeDirectory?: string | undefined;
}

/** Returns the GPU backends that this platform may have, the fastest first. */
export function gpuBackends(): readonly Backend[] {
  if (process.platform === 'darwin') return process.arch === 'arm64' ? ['metal'] : [];
  return ['cuda', 'vulkan'];
}

/**
 * Returns the directory of llama.cpp's shared libraries for a backend, in node-llama-cpp's package for this platform.
 *
 * @throws SkeinError `engine-incompatible` when there is no such package for this platform or it is not installed
 */
export async function libraryDirectory(backend: Backend): Promise<string> {
  const name = platformPackage(backend);
  try {
    return join(await binariesOf(name), name);
  } catch (error) {
    throw new SkeinError(
      'engine-incompatible',
      `no ${backend} build of llama.cpp for this machine; run \`npm ci\` without --omit=optional, or choose another --backend`,
      { cause: error },
    );
  }
}

/**
 * Returns a backend's directories in node-llama-cpp's packages for this platform.
 *
 * @throws SkeinError `engine-incompatible` when there is no such package for this platform or it is not installed
 */
export async function libraryDirectories(backend: Backend): Promise<LibraryDirectories> {
  const directory = await libraryDirectory(backend);
  const name = platformPackage(backend);
  // A package beside the first has it where it would be too large for one.
  const beside = await binariesOf(`${name}-ext`).catch(() => undefined);
  const fallback = join(beside === undefined ? directory : join(beside, name), 'fallback');
  return { directory, fallbackDirectory: (await isAnything(fallback)) ? fallback : undefined };
}

async function binariesOf(name: string): Promise<string> {
  const { getBinsDir } = (await import(`@node-llama-cpp/${name}`)) as { getBinsDir: () => { binsDir: string } };
  return getBinsDir().binsDir;
}

function platformPackage(backend: Backend): string {
  const machine = `${systems[process.platform] ?? process.platform}-${process.arch}`;
  // On Apple silicon one package holds both; elsewhere the plain one is for the CPU.
  if (machine === 'mac-arm64') return `${machine}-metal`;
  return backend === 'cpu' ? machine : `${machine}-${backend}`;
}
