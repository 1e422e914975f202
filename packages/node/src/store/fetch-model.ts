import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

import { removeFile } from '@skein/mesh';
import { encodeValue, isSkeinError, SkeinError, type HeldModel, type ModelManifest } from '@skein/protocol';

import { findCatalogEntryByHash } from '../catalog/index.ts';
import type { ModelSource, OfferedFile } from '../sources/index.ts';
import { createManifest } from '../stage-file/index.ts';
import { renameDurably, replaceFile, type MeasureFreeBytes } from '../disk/index.ts';
import { download } from './download.ts';
import type { CheckModel } from '../engine/process/check-model.ts';
import type { HeldModels } from './held-models.ts';
import type { StoreLayout } from './layout.ts';
import { takeLock } from './lock.ts';
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
 * Fetches a model from one source into the store: downloads it beside its final place, hashes it, reads it as a GGUF,
 * and only then gives it its name. One process at a time downloads a model; the others wait and find it there.
 *
 * @throws SkeinError `hash-mismatch`, after which nothing of the file is left; `model-invalid`, `disk-failed` and those
 * of the source, after which the download is kept for the next try, or for a version of Skein that can use it
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
  const { offer, paths, source, signal, onProgress } = attempt;
  const { resumedBytes } = await download(offer, {
    ...paths,
    signal,
    freeBytes: components.freeBytes,
    onProgress: (doneBytes) => {
      onProgress({ source: source.label, phase: source.transfer, doneBytes, totalBytes: offer.bytes });
    },
  });
  const verdict = await verify(components, attempt);
  if ('manifest' in verdict) return accept(components, { ...paths, manifest: verdict.manifest });
  const { error, isOffered } = verdict;
  // The file is what its source has: downloading it again changes nothing, and a newer llama.cpp may take it.
  if (isOffered && source.transfer === 'download') throw error;
  // A copy costs nothing to make again.
  const isWrong = error.code === 'hash-mismatch' || resumedBytes > 0 || source.transfer === 'copy';
  if (isWrong) await removeFile(paths.partial);
  // The fault may lie in what an earlier try left, perhaps from another source. So this one gets a fair chance.
  if (resumedBytes === 0) throw error;
  return downloadAndAccept(components, attempt);
}

type Verdict =
  | { readonly manifest: ModelManifest }
  | {
      readonly error: SkeinError;
      /** Whether the file is known to be the one that the source offered. */
      readonly isOffered: boolean;
    };

/** Hashes a file and reads it as a GGUF, in one pass, and has llama.cpp check it. */
async function verify(components: FetchComponents, attempt: Attempt): Promise<Verdict> {
  const { paths, name, signal, sha256, offer, source, onProgress } = attempt;
  try {
    const { manifest } = await createManifest({
      file: paths.partial,
      name,
      checks: offer.checks,
      signal,
      onProgress: ({ bytes, totalBytes }) => {
        onProgress({ source: source.label, phase: 'verify', doneBytes: bytes, totalBytes });
      },
    });
    const wrong = hashMismatch(manifest.model, sha256);
    if (wrong !== undefined) return { error: wrong, isOffered: false };
    await components.checkModel(paths.partial, { signal });
    // Peers that pulled the same file under different names shall have the same manifest, hence the same digest.
    return { manifest: { ...manifest, name: findCatalogEntryByHash(manifest.model)?.name ?? manifest.name } };
  } catch (error) {
    if (isSkeinError(error) && error.code === 'hash-mismatch') return { error, isOffered: false };
    if (!isSkeinError(error) || error.code !== 'model-invalid') throw error;
    if (sha256 === undefined) return { error, isOffered: false };
    // A wrong file is seldom a GGUF; where the right one is known, that it is wrong says more than how.
    const wrong = hashMismatch(await hashFile(paths.partial, signal), sha256);
    return wrong === undefined ? { error, isOffered: true } : { error: wrong, isOffered: false };
  }
}

function hashMismatch(actual: string, expected: string | undefined): SkeinError | undefined {
  if (expected === undefined || actual === expected) return undefined;
  return new SkeinError('hash-mismatch', `expected SHA-256 ${expected}, got ${actual}; the file was deleted`, {
    details: { expected, actual },
  });
}

async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
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
