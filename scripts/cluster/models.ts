import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isSkeinError } from '@skein/protocol';
import { defaultModelName, openStore } from '@skein/node';

import { writeTinyModel, type TinyModelOptions } from '../fixtures/tiny-models.ts';

/** Directory of the default model, kept between runs beside the sources. */
const cache = join(import.meta.dirname, '..', '..', '.cache');

/**
 * Returns the path of the default model's GGUF, pulled when it is not in the cache; or the reason to skip a test, when
 * no source can be reached.
 */
export async function defaultModelFile(): Promise<{ path: string } | { unreachable: string }> {
  const store = await openStore(cache);
  try {
    const { model } = await store.pull(defaultModelName);
    return { path: await store.path(model) };
  } catch (error) {
    if (isSkeinError(error) && error.code === 'model-unreachable') return { unreachable: error.message };
    throw error;
  }
}

/** Writes a tiny model with random weights to a directory of its own, which is removed when it is disposed. */
export async function tinyModelFile(
  architecture = 'llama',
  options: TinyModelOptions = {},
): Promise<{ path: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-tiny-'));
  const path = join(directory, `tiny-${architecture}.gguf`);
  await writeTinyModel(architecture, path, options);
  return { path, [Symbol.asyncDispose]: async () => rm(directory, { recursive: true }) };
}
