import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';

import { removeFile } from '@skein/mesh';
import { encodeValue, isSkeinError, SkeinError, type HeldModel, type ModelManifest } from '@skein/protocol';

import { findCatalogEntryByHash } from '../catalog/index.ts';
import type { ModelSource, OfferedFile } from '../sources/index.ts';
import { RunningManifest } from '../stage-file/index.ts';
import { renameDurably, replaceFile, takeLock, type MeasureFreeBytes } from '../disk/index.ts';
import { download, usableBytes } from './download.ts';
import type { CheckModel } from '../engine/process/check-model.ts';
import type { HeldModels } from './held-models.ts';
import type { StoreLayout } from './layout.ts';
import type { Names } from './names.ts';
import type { PullProgress } from './pull-progress.ts';

/** The parts of the store that fetching needs. */
export interface FetchComponents {
  readonly layout: StoreLayout;
  readonly held: HeldModels;
  readonly names: Names;
  readonly freeBytes: MeasureFreeBytes;
  /** Throws SkeinError `model-invalid` when the engine would refuse the file. */
  readonly checkModel: CheckModel;
}

export interface FetchRequest {
  readonly source: ModelSource;
  /** Name for the manifest of a model that the catalog does not know. */
  readonly name: string;
  /** Hash and size that the file must have, where they are known beforehand. */
  readonly pinned?: { readonly sha256: string; readonly bytes: number } | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
}

interface Attempt extends FetchRequest {
  readonly offer: OfferedFile;
  readonly sha256: string | undefined;
  readonly paths: ReturnType<StoreLayout['download']>;
}

/**
 * Fetches a model from one source into the store: downloads it beside its final place, hashes it and reads it as a GGUF
 * meanwhile, and only then gives it its name. One process at a time downloads a model; the others wait and find it there.
 *
 * @throws SkeinError `hash-mismatch`, and `model-invalid` of a file that is no model, after which nothing of it is left;
 * `model-invalid` of one that llama.cpp refuses, `disk-failed` and those of the source, after which the download is kept
 * for the next try, or for a version of Skein that can use it
 */
export async function fetchModel(components: FetchComponents, request: FetchRequest): Promise<HeldModel> {
  const { layout, held, names } = components;
  const { source, pinned, signal } = request;
  const offer = await source.open({ signal });
  if (pinned !== undefined && offer.bytes !== pinned.bytes) {
    throw new SkeinError('hash-mismatch', `offers ${offer.bytes} bytes instead of ${pinned.bytes}: another file`);
  }
  const sha256 = pinned?.sha256 ?? offer.sha256;
  const key = sha256 ?? createHash('sha256').update(offer.identity).digest('hex');
  const paths = layout.download(key);
  await using lock = await takeLock(paths.lock, {
    signal,
    onWait: async () => {
      const doneBytes = (await stat(paths.partial).catch(() => undefined))?.size ?? 0;
      request.onProgress({ source: source.label, phase: 'wait', doneBytes, totalBytes: offer.bytes });
    },
  });
  const known = await held.find(sha256 ?? (await names.find(offer.identity)) ?? '');
  if (known !== undefined) return known;

  const attempt = { ...request, signal: AbortSignal.any([signal, lock.lost]), offer, sha256, paths };
  const model = await downloadAndAccept(components, attempt);
  if (sha256 === undefined) await names.set([offer.identity], model.model, { signal });
  return model;
}

async function downloadAndAccept(components: FetchComponents, attempt: Attempt): Promise<HeldModel> {
  const { offer, paths, sha256, source, signal } = attempt;
  const resumedBytes = await usableBytes(paths.partial, offer.bytes);
  let isComplete = false;
  try {
    const manifest = await downloadAndHash(components, attempt, resumedBytes);
    isComplete = true;
    await components.checkModel(paths.partial, { signal });
    return await accept(components, { ...paths, manifest });
  } catch (error) {
    if (!isSkeinError(error) || (error.code !== 'model-invalid' && error.code !== 'hash-mismatch')) throw error;
    const isOffered = isComplete && sha256 !== undefined;
    // The file is what its source has: downloading it again changes nothing, and a newer llama.cpp may take it.
    if (isOffered && source.transfer === 'download') throw error;
    // A copy costs nothing to make again.
    const isWrong = !isComplete || resumedBytes > 0 || source.transfer === 'copy';
    if (isWrong) await removeFile(paths.partial);
    // The fault may lie in what an earlier try left, perhaps from another source. So this one gets a fair chance.
    if (resumedBytes === 0) throw error;
    return await downloadAndAccept(components, attempt);
  }
}

/** Downloads a file and describes it in one pass, and checks its hash, where that is known. */
async function downloadAndHash(
  components: FetchComponents,
  attempt: Attempt,
  resumedBytes: number,
): Promise<ModelManifest> {
  const { offer, paths, sha256, source, signal } = attempt;
  const { bytes: totalBytes, checks } = offer;
  const running = new RunningManifest({ bytes: totalBytes, name: attempt.name, checks });
  const report = (phase: PullProgress['phase'], doneBytes: number) => {
    attempt.onProgress({ source: source.label, phase, doneBytes, totalBytes });
  };
  await download(offer, {
    ...paths,
    resumedBytes,
    manifest: running,
    signal,
    freeBytes: components.freeBytes,
    onRead: (doneBytes) => report('verify', doneBytes),
    onProgress: (doneBytes) => report(source.transfer, doneBytes),
  });
  const manifest = running.finish();
  const wrong = hashMismatch(manifest.model, sha256);
  if (wrong !== undefined) throw wrong;
  report('verify', totalBytes);
  // Peers that pulled the same file under different names shall have the same manifest, hence the same digest.
  return { ...manifest, name: findCatalogEntryByHash(manifest.model)?.name ?? manifest.name };
}

function hashMismatch(actual: string, expected: string | undefined): SkeinError | undefined {
  if (expected === undefined || actual === expected) return undefined;
  return new SkeinError('hash-mismatch', `expected SHA-256 ${expected}, got ${actual}; the file was deleted`, {
    details: { expected, actual },
  });
}

/**
 * Gives a verified file its name. Writes the manifest first: a model whose file exists has one, whenever the power
 * fails.
 */
async function accept(
  { layout, held }: FetchComponents,
  { partial, manifest }: { partial: string; manifest: ModelManifest },
): Promise<HeldModel> {
  const known = await held.find(manifest.model);
  if (known !== undefined) {
    await removeFile(partial);
    return known;
  }
  await replaceFile(layout.manifest(manifest.model), encodeValue(manifest));
  await renameDurably(partial, layout.model(manifest.model));
  const accepted = await held.find(manifest.model);
  if (accepted !== undefined) return accepted;
  throw new SkeinError('disk-failed', `${layout.models} does not keep what is written to it; check the disk`);
}
