import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import koffi from 'koffi';

import { publicReason } from './load-failure.ts';

/**
 * Returns the reason why a GPU backend of a directory does not load, in the operating system's words; undefined when it
 * loads. llama.cpp's own loader is silent about it.
 */
export function backendFailure(directory: string, backend: string): string | undefined {
  const pattern = new RegExp(String.raw`^(lib)?ggml-${backend}\.(so|dylib|dll)$`);
  const file = readdirSync(directory).find((entry) => pattern.test(entry));
  if (file === undefined) return `ggml-${backend} is missing`;
  try {
    koffi.load(join(directory, file));
    return undefined;
  } catch (error) {
    return publicReason(error instanceof Error ? error.message : String(error), directory);
  }
}
