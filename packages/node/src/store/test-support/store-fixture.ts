import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import type { CatalogEntry } from '../../catalog/index.ts';
import { createSource, type ModelReference, type SourceSpec } from '../../sources/index.ts';
import { temporaryDirectory } from '../../sources/test-support/temporary-directory.ts';
import { openStore, type StoreOptions } from '../model-store.ts';

/** Opens a store in a directory of its own, with a small model beside it. */
export async function storeFixture(options: { readonly endpoint?: string } & StoreOptions = {}) {
  const directory = await temporaryDirectory();
  const data = join(directory.path, 'data');
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const content = await readFile(file);
  const storeOptions: StoreOptions = {
    createSource: (spec, sources) => createSource(spec, { endpoint: options.endpoint, retryDelayMs: 0, ...sources }),
    // Most tests are about files; what llama.cpp says of them costs a process each.
    checkModel: () => Promise.resolve(),
    ...options,
  };
  return {
    file,
    content,
    sha256: createHash('sha256').update(content).digest('hex'),
    store: await openStore(data, storeOptions),
    /** Opens a second store in the same directory, as another process has it. */
    openAgain: () => openStore(data, storeOptions),
    /** Lists the names of the files beside the models. */
    files: async () => (await readdir(join(data, 'models'))).sort(),
    model: (model: string) => join(data, 'models', `${model}.gguf`),
    manifest: (model: string) => join(data, 'models', `${model}.manifest`),
    partial: (key: string) => join(data, 'models', `${key}.partial`),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

export const fromServer: SourceSpec = {
  kind: 'hugging-face',
  repository: 'owner/model',
  revision: 'main',
  file: 'tiny.gguf',
};

/** Makes a catalog entry for a content, from the given sources. */
export function catalogReference(
  content: Uint8Array,
  sources: readonly SourceSpec[],
): ModelReference & { readonly entry: CatalogEntry } {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const licence = { licence: 'none', licenceUrl: '' };
  const names = { name: 'tiny-model', aliases: [], displayName: 'Tiny' };
  return { kind: 'catalog', entry: { ...names, ...licence, bytes: content.byteLength, sha256, sources } };
}
