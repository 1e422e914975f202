import { join } from 'node:path';

import { SkeinError } from '@skein/protocol';

/** Compute backends of llama.cpp that node-llama-cpp ships. */
export const backends = ['cpu', 'cuda', 'vulkan', 'metal'] as const;
export type Backend = (typeof backends)[number];

const systems: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'mac', win32: 'win' };

/**
 * Returns the directory of llama.cpp's shared libraries for a backend, in node-llama-cpp's package for this platform.
 *
 * @throws SkeinError `engine-incompatible` when there is no such package for this platform or it is not installed
 */
export async function libraryDirectory(backend: Backend): Promise<string> {
  const name = platformPackage(backend);
  try {
    const { getBinsDir } = (await import(`@node-llama-cpp/${name}`)) as { getBinsDir: () => { binsDir: string } };
    return join(getBinsDir().binsDir, name);
  } catch (error) {
    throw new SkeinError(
      'engine-incompatible',
      `no ${backend} build of llama.cpp for this machine; run \`npm ci\` without --omit=optional, or choose another --backend`,
      { cause: error },
    );
  }
}

function platformPackage(backend: Backend): string {
  const machine = `${systems[process.platform] ?? process.platform}-${process.arch}`;
  // On Apple silicon one package holds both; elsewhere the plain one is for the CPU.
  if (machine === 'mac-arm64') return `${machine}-metal`;
  return backend === 'cpu' ? machine : `${machine}-${backend}`;
}
