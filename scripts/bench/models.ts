import { access, mkdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { defaultModelName } from '@skein/node';

import { openFileSource, readGgufLayout } from '../../packages/node/src/gguf/index.ts';
import { architectureNumber, metadataView } from '../../packages/node/src/stage-file/metadata-view.ts';
import { defaultModelFile } from '../cluster/models.ts';
import { writeSyntheticLlama } from '../fixtures/synthetic-llama.ts';
import { cacheDirectory } from '../rivals/cache-directory.ts';

export const modelKeys = ['smollm2', 'synthetic'] as const;
export type ModelKey = (typeof modelKeys)[number];

/** Version of the generator: raise it when it writes other bytes. */
const syntheticVersion = 1;

export interface BenchModel {
  readonly key: ModelKey;
  readonly name: string;
  /** Path of its GGUF. */
  readonly path: string;
  readonly layers: number;
  readonly hiddenSize: number;
  /** Size of keys and values of one token in one layer, in bytes of f16. */
  readonly cacheBytesPerLayer: number;
  /** Size of each tensor in the file, by name. */
  readonly tensorBytes: ReadonlyMap<string, number>;
}

/** Returns a model to measure with. Makes or pulls it when it is not in a cache yet. */
export async function benchModel(key: ModelKey, say: (line: string) => void): Promise<BenchModel> {
  const path = key === 'smollm2' ? await smollmFile() : await syntheticFile(say);
  await using source = await openFileSource(path);
  const layout = await readGgufLayout(source);
  const metadata = metadataView(layout);
  const number = (suffix: string): number => {
    const value = architectureNumber(metadata, suffix);
    if (value === undefined) throw new Error(`${path} does not say its ${suffix}`);
    return value;
  };
  const hiddenSize = number('embedding_length');
  const rowSize = (hiddenSize / number('attention.head_count')) * number('attention.head_count_kv');
  return {
    key,
    name: key === 'smollm2' ? defaultModelName : basename(path, '.gguf'),
    path,
    layers: number('block_count'),
    hiddenSize,
    cacheBytesPerLayer: 2 * 2 * rowSize,
    tensorBytes: new Map([...layout.tensors].map(([tensor, { bytes }]) => [tensor, bytes])),
  };
}

async function smollmFile(): Promise<string> {
  const file = await defaultModelFile();
  if ('unreachable' in file) throw new Error(file.unreachable);
  return file.path;
}

async function syntheticFile(say: (line: string) => void): Promise<string> {
  const path = join(cacheDirectory(), 'models', `synthetic-llama-1.1b-${syntheticVersion}.gguf`);
  try {
    await access(path);
  } catch {
    say(`writing a synthetic Llama of 1.1 billion parameters, once: ${path}`);
    await mkdir(dirname(path), { recursive: true });
    await writeSyntheticLlama(`${path}.partial`);
    await rename(`${path}.partial`, path);
  }
  return path;
}
