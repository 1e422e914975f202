import { join } from 'node:path';

/**
 * Paths in a store. Whole models and downloads share a directory, so that a rename moves a finished download into place
 * whichever disk that directory is on.
 */
export interface StoreLayout {
  /** Directory of whole models: `<model>.gguf`, `<model>.manifest`. */
  readonly models: string;
  /** Directory of manifests of models that other peers hold: `<digest>.manifest`. */
  readonly manifests: string;
  /** Directory of the stage files that were cut from models. */
  readonly stages: string;
  readonly names: string;
  readonly namesLock: string;
  model(model: string): string;
  manifest(model: string): string;
  fetchedManifest(digest: string): string;
  /** Returns the paths of one download; `key` is the expected hash, or one of the content's identity. */
  download(key: string): { readonly partial: string; readonly scratch: string; readonly lock: string };
}

/** Returns the paths in the store of a data directory. Touches no disk. */
export function storeLayout(directory: string): StoreLayout {
  const models = join(directory, 'models');
  const manifests = join(directory, 'manifests');
  return {
    models,
    manifests,
    stages: join(directory, 'stages'),
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
