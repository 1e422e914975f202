import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import koffi from 'koffi';

import type { MissingGpu } from '../../hardware/gpu-problem.ts';
import { publicReason } from './load-failure.ts';

/** Words of koffi before the operating system's. */
const koffiWords = /^Failed to load shared library: /;

/** Describes why a GPU backend of a directory, which llama.cpp has loaded or tried to load, brings no GPU. */
export function missingGpu(directory: string, backend: string): MissingGpu {
  return { failure: backendFailure(directory, backend), hasDriver: backend === 'cuda' && hasNvidiaDriver() };
}

function hasNvidiaDriver(): boolean {
  try {
    koffi.load(process.platform === 'win32' ? 'nvcuda.dll' : 'libcuda.so.1');
    return true;
  } catch {
    return false;
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
