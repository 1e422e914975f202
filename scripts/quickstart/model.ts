import { join } from 'node:path';

import { defaultModelName, openStore, readSourceSettings } from '@skein/node';
import { formatBytes, isSkeinError } from '@skein/protocol';

import { writeTinyModel } from '../fixtures/tiny-models.ts';

/** Directory that is kept between runs, beside the sources: only the first quickstart waits for a download. */
const cache = join(import.meta.dirname, '..', '..', '.cache');

export interface QuickstartModel {
  /** Path of its GGUF. */
  readonly path: string;
  /** Whether it is the default model, and not the random one that stands in where no source can be reached. */
  readonly isMeaningful: boolean;
}

/** Returns the default model, or, where none of its sources can be reached, a tiny one with random weights. */
export async function getModel(options: {
  /** Directory for the stand-in. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}): Promise<QuickstartModel> {
  const { directory, signal, say } = options;
  const store = await openStore(cache);
  let saidSource: string | undefined;
  try {
    const held = await store.pull(defaultModelName, {
      signal,
      sources: await readSourceSettings(process.env),
      onProgress: ({ source, totalBytes }) => {
        if (source === saidSource) return;
        saidSource = source;
        say(`getting ${defaultModelName} (${formatBytes(totalBytes)}) from ${source}`);
      },
    });
    return { path: await store.path(held.model), isMeaningful: true };
  } catch (error) {
    if (!isSkeinError(error) || error.code !== 'model-unreachable') throw error;
    say(`no source of ${defaultModelName} can be reached: ${error.message}`);
    say('going on with a tiny model of random weights: the machinery is the same, its text means nothing');
    const path = join(directory, 'tiny-random-llama.gguf');
    await writeTinyModel('llama', path);
    return { path, isMeaningful: false };
  }
}
