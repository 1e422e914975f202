import { join } from 'node:path';

/**
 * Where everything of a store lies. Whole models, and whatever becomes one, share a directory, so that a finished download is
 * moved into place by a rename whichever disk that directory is on.
 */
export interface StoreLayout {
  /** Whole models: `<model>.gguf`, `<model>.manifest`. */
  readonly models: string;
  /** Manifests of models that other peers hold: `<digest>.manifest`. */
  readonly manifests: string;
  readonly names: string;
  readonly namesLock: string;
  model(model: string): string;
  manifest(model: string): string;
  fetchedManifest(digest: string): string;
  /** Paths of one download; `key` is the expected hash, or one of what identifies the content. */
  download(key: string): { readonly partial: string; readonly scratch: string; readonly lock: string };
}

export function storeLayout(directory: string): StoreLayout {
  const models = join(directory, 'models');
  const manifests = join(directory, 'manifests');
  return {
    models,
    manifests,
    names: join(models, 'names.json'),
    namesLock: join(models, 'names.lock'),
    model: (model) => join(models, `${model}.gguf`),
    manifest: (model) => join(models, `${model}.manifest`),
    fetchedManifest: (digest) => join(manifests, `${digest}.manifest`),
    download: (key) => ({
      partial: join(models, `${key}.partial`),
      scratch: join(models, `${key}.scratch`),
      lock: join(models, `${key}.lock`),
    }),
  };
}
