import { fetchManifest, type Mesh } from '@skein/mesh';
import { isSkeinError, SkeinError, type ModelManifest, type StageLoad, type StagePhase } from '@skein/protocol';

import { ensureStageFile, fileSectionSource, spotCheck } from '../stage-file/index.ts';
import { meshSectionSource, type ModelStore } from '../store/index.ts';

export interface StageFilesComponents {
  readonly store: ModelStore;
  /** Directory of the stage files. */
  readonly directory: string;
  readonly mesh: Pick<Mesh, 'cards' | 'open'>;
}

/** The files that an engine loads for a stage. */
export interface StageFiles {
  readonly manifest: ModelManifest;
  /** Path of the stage's layers: a stage file, or the model itself when it is whole and here. */
  readonly file: string;
  readonly fileBytes: number;
  /** Path of the tokenizer and token embeddings. Only on the lead of a split model. */
  readonly frontFile: string | undefined;
  /** Number of bytes that came over the mesh for this. */
  readonly fetchedBytes: number;
}

export type ReportProgress = (phase: StagePhase, progress: { doneBytes: number; totalBytes: number }) => void;

/**
 * Brings a stage's files onto this machine's disk: cut from the model when it is here, else exactly the sections that
 * the stage needs, fetched from its holders and checked against the manifest that the coordinator named.
 *
 * @throws SkeinError `model-unreachable`, `hash-mismatch`, `split-unsupported` or `disk-failed`
 */
export async function prepareStageFiles(
  components: StageFilesComponents,
  load: StageLoad,
  options: { onProgress: ReportProgress; signal: AbortSignal },
): Promise<StageFiles> {
  const { store, directory, mesh } = components;
  const { signal } = options;
  const blob = (await store.find(load.spec.model)) === undefined ? undefined : await store.path(load.spec.model);
  const manifest = await findManifest(components, load, { isHeld: blob !== undefined, signal });
  if (load.block.to > manifest.shape.layers) {
    throw new SkeinError(
      'invalid-request',
      `layers up to ${load.block.to} asked for; the model has ${manifest.shape.layers}`,
    );
  }
  const isWhole = load.stages === 1;
  if (isWhole && blob !== undefined) {
    await checkWeights(blob, manifest, signal);
    return { manifest, file: blob, fileBytes: manifest.bytes, frontFile: undefined, fetchedBytes: 0 };
  }

  const overMesh = meshSectionSource({ mesh, holders: load.sources, model: load.spec.model });
  const source = blob === undefined ? overMesh : fileSectionSource(blob);
  const phase: StagePhase = blob === undefined ? 'fetch' : 'cut';
  const ensure = async (kind: 'stage' | 'front') =>
    await ensureStageFile({
      manifest,
      block: load.block,
      kind,
      source,
      directory,
      signal,
      onProgress: ({ bytes, totalBytes }) => options.onProgress(phase, { doneBytes: bytes, totalBytes }),
    });
  const stage = await ensure('stage');
  const front = load.stage === 0 && !isWhole ? await ensure('front') : undefined;
  return {
    manifest,
    file: stage.path,
    fileBytes: stage.bytes,
    frontFile: front?.path,
    fetchedBytes: overMesh.fetchedBytes,
  };
}

/**
 * Checks a model in random places before it is loaded: its file may have changed since it was pulled.
 *
 * @throws SkeinError `hash-mismatch` that says how to get it again
 */
async function checkWeights(path: string, manifest: ModelManifest, signal: AbortSignal): Promise<void> {
  try {
    const tensors = manifest.sections.filter(({ kind }) => kind === 'tensor');
    await spotCheck(path, tensors, { signal });
  } catch (error) {
    if (!isSkeinError(error) || error.code !== 'hash-mismatch') throw error;
    const { name, model } = manifest;
    throw new SkeinError(
      'hash-mismatch',
      `the file of ${name} on this machine is damaged; run \`skein rm ${model}\` and \`skein pull\` there, and check the disk`,
      { cause: error, details: error.details },
    );
  }
}

/** Finds the manifest that the coordinator named: our own, one from an earlier fetch, or one fetched now from a holder. */
async function findManifest(
  { store, mesh }: StageFilesComponents,
  load: StageLoad,
  { isHeld, signal }: { isHeld: boolean; signal: AbortSignal },
): Promise<ModelManifest> {
  const own = isHeld ? await store.manifest(load.spec.model) : undefined;
  if (own?.digest === load.manifest) return own.manifest;
  const saved = await store.savedManifest(load.manifest);
  if (saved !== undefined) return saved;
  const { spec, sources: holders, manifest: digest } = load;
  const fetched = await fetchManifest({ mesh, holders, model: spec.model, digest, signal });
  return store.saveManifest(fetched.encoded, { digest });
}
