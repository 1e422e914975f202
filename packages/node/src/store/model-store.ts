import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';

import { decodeManifest, type EncodedManifest } from '@skein/mesh';
import {
  maxModelAliases,
  resolveModel,
  sha256Schema,
  silentLogger,
  type HeldModel,
  type Logger,
  type ModelManifest,
} from '@skein/protocol';

import { findCatalogEntryByHash } from '../catalog/index.ts';
import { checkModel, type CheckModel } from '../engine/process/check-model.ts';
import { createSource, type CreateSource, type ModelReference } from '../sources/index.ts';
import { removeStageFiles, stageFileBytes } from '../stage-file/index.ts';
import { measureFreeBytes, onDisk, replaceFile, type MeasureFreeBytes } from '../disk/index.ts';
import { HeldModels } from './held-models.ts';
import { removeInterruptedPulls, unfinishedBytes } from './interrupted-pulls.ts';
import { storeLayout } from './layout.ts';
import { Names } from './names.ts';
import { pullModel, type PullOptions } from './pull.ts';
import { readRanges, type ByteRange } from './read-ranges.ts';
import { removeModel, type Removal } from './remove-model.ts';
import { readManifest } from './saved-manifest.ts';

/** The models on this machine's disk. Several processes may use one store at the same time. */
export interface ModelStore {
  /**
   * Makes sure that a model is held: one of the catalog by name, `owner/repository:Q4_K_M`,
   * `hf:owner/repository/file.gguf`, or the GGUF at a path, which is cloned, linked or copied. Tries the sources in
   * order. Uses the file only after it has the SHA-256 that the catalog or the source names, if either does, reads as a
   * GGUF of a model that generates text, and is accepted by llama.cpp. Another call continues an interrupted pull where it
   * stopped.
   *
   * @throws SkeinError `invalid-request` for a malformed reference; `model-unreachable`, with the reason of every
   * source; `hash-mismatch`; `model-invalid`; `model-not-found`; `disk-failed`, with the bytes that are needed;
   * `aborted`
   */
  pull(reference: string | ModelReference, options?: PullOptions): Promise<HeldModel>;
  /** Lists the whole models that are held, by name, each with the catalog's names for it and those that it was pulled as. */
  list(): Promise<HeldModel[]>;
  /**
   * Finds a held model by SHA-256, name or alias; undefined when there is none.
   *
   * @throws SkeinError `invalid-request` when several models have the name
   */
  find(reference: string): Promise<HeldModel | undefined>;
  /**
   * Returns the manifest of a held model.
   *
   * @throws SkeinError `model-not-found` when it is not held
   */
  manifest(model: string): Promise<EncodedManifest>;
  /**
   * Returns the path of a held model's GGUF. Never write there.
   *
   * @throws SkeinError `model-not-found` when it is not held
   */
  path(model: string): Promise<string>;
  /**
   * Removes a held model, with the stage files cut from it, and returns how much room that frees. Ask first whether
   * anybody uses it: the store does not know.
   *
   * @throws SkeinError `model-not-found` when it is not held, `disk-failed` when the system refuses
   */
  remove(model: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Removal>;
  /** Returns the bytes on the disk of pulls that have not ended: interrupted ones, and those under way. */
  unfinishedBytes(): Promise<number>;
  /** Removes the bytes of interrupted pulls, and returns how many that frees. Pulls under way go on. */
  removeInterruptedPulls(options?: {
    readonly signal?: AbortSignal | undefined;
  }): Promise<{ readonly freedBytes: number }>;
  /** Returns the bytes on the disk of stage files: the parts of models that stages were loaded from. */
  stageFileBytes(): Promise<number>;
  /**
   * Removes all stage files, and returns how much room that frees. Ask first whether this machine has a stage: the store
   * does not know.
   */
  removeStageFiles(): Promise<{ readonly freedBytes: number }>;
  /**
   * Streams ranges of a held model back to back, in chunks of at most 256 KiB.
   *
   * @throws SkeinError `model-not-found` when it is not held, `protocol-violation` for ranges outside the file or
   * longer together than the file
   */
  readRanges(
    model: string,
    ranges: readonly ByteRange[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Uint8Array>;
  /**
   * Keeps a manifest that came from another peer, and returns it decoded.
   *
   * @throws SkeinError `hash-mismatch` when its digest is not the expected one, `protocol-violation` when it is no
   * manifest
   */
  saveManifest(encoded: Uint8Array, expected: { readonly digest: string }): Promise<ModelManifest>;
  /** Returns a saved manifest by its digest; undefined when there is none. */
  savedManifest(digest: string): Promise<ModelManifest | undefined>;
}

export interface StoreOptions {
  /** Receives warnings about files that are damaged or can't be read. Default: none. */
  readonly logger?: Logger;
  /** Makes the adapter of a source. Default: the real ones. */
  readonly createSource?: CreateSource | undefined;
  /** Checks whether the engine would accept a file. Default: llama.cpp reads its header, in a process of its own. */
  readonly checkModel?: CheckModel | undefined;
  /** Measures the free room. Default: asks the file system. */
  readonly freeBytes?: MeasureFreeBytes | undefined;
}

/**
 * Opens the model store in a directory, which is made when missing.
 *
 * @throws SkeinError `disk-failed` when the directory can't be made
 */
export async function openStore(directory: string, options: StoreOptions = {}): Promise<ModelStore> {
  const layout = storeLayout(resolve(directory));
  await onDisk(directory, async () => {
    await mkdir(layout.models, { recursive: true });
    await mkdir(layout.manifests, { recursive: true });
  });
  const { logger = silentLogger } = options;
  const held = new HeldModels(layout, logger);
  const names = new Names(layout, logger);
  const freeBytes = options.freeBytes ?? measureFreeBytes;
  const components = {
    layout,
    held,
    names,
    freeBytes,
    createSource: options.createSource ?? createSource,
    checkModel: options.checkModel ?? checkModel,
  };
  const path = async (model: string) => {
    await held.manifest(model);
    return layout.model(model);
  };
  const list = async (): Promise<HeldModel[]> => {
    const remembered = await names.byModel();
    return (await held.list()).map((model) => withAliases(model, remembered.get(model.model) ?? []));
  };
  return {
    path,
    pull: (reference, pullOptions = {}) => pullModel(components, reference, pullOptions),
    list,
    remove: (model, { signal = new AbortController().signal } = {}) => removeModel(components, model, { signal }),
    unfinishedBytes: () => unfinishedBytes(layout),
    removeInterruptedPulls: ({ signal = new AbortController().signal } = {}) =>
      removeInterruptedPulls(layout, { signal }),
    stageFileBytes: async () => await stageFileBytes(layout.stages),
    removeStageFiles: async () => await removeStageFiles(layout.stages),
    manifest: (model) => held.manifest(model),
    // The list leaves out what can't be read; a hash that is asked for and can't be is an error.
    find: async (reference) => resolveModel(await list(), reference) ?? (await held.find(reference.toLowerCase())),
    async *readRanges(model, ranges, { signal } = {}) {
      yield* readRanges(await path(model), ranges, { signal });
    },
    async saveManifest(encoded, expected) {
      const { manifest, digest } = decodeManifest(encoded, expected);
      await replaceFile(layout.fetchedManifest(digest), encoded);
      return manifest;
    },
    async savedManifest(digest) {
      // The digest becomes part of a path.
      if (!sha256Schema.safeParse(digest).success) return undefined;
      return (await readManifest(layout.fetchedManifest(digest), { digest }))?.manifest;
    },
  };
}

/** Adds to a model's description its further names: first the catalog's, then those that people pulled it as. */
function withAliases(held: HeldModel, remembered: readonly string[]): HeldModel {
  const entry = findCatalogEntryByHash(held.model);
  const known = new Set([
    ...(entry === undefined ? [] : [entry.name, ...entry.aliases]),
    ...remembered.filter(isPublic),
  ]);
  known.delete(held.name.toLowerCase());
  return known.size === 0 ? held : { ...held, aliases: [...known].slice(0, maxModelAliases) };
}

/** Tells whether others may know of a name. Sources that are files are remembered by their paths, which are private. */
function isPublic(name: string): boolean {
  return name.startsWith('hf:') || !/[/\\]/.test(name);
}
