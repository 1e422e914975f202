import { lstat } from 'node:fs/promises';

import { removeFile } from '@skein/mesh';
import { hasCode } from '@skein/protocol';

import { bytesOnDisk, onDisk, takeLock } from '../disk/index.ts';
import { findStageFiles } from '../stage-file/index.ts';
import type { HeldModels } from './held-models.ts';
import type { StoreLayout } from './layout.ts';
import type { Names } from './names.ts';

/** The effect of a removal. */
export interface Removal {
  /** Bytes of the disk that are free again: none of a file that another program holds, too. */
  readonly freedBytes: number;
  /** Whether another program holds the model's file, too. */
  readonly isShared: boolean;
}

/**
 * Removes a held model with its manifest, its names and the stage files that were cut from it.
 *
 * @throws SkeinError `model-not-found` when it is not held; `disk-failed` when the system refuses, as Windows does while
 * an engine has the file open
 */
export async function removeModel(
  { layout, held, names }: { readonly layout: StoreLayout; readonly held: HeldModels; readonly names: Names },
  model: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<Removal> {
  await using _lock = await takeLock(layout.download(model).lock, { signal });
  const { manifest, digest } = await held.manifest(model);
  const stageFiles = await findStageFiles(layout.stages, manifest);
  // The model's own file first: a file without a manifest is never taken for a model, and a manifest alone for none.
  const paths = [layout.model(model), ...stageFiles, layout.manifest(model), layout.fetchedManifest(digest)];
  let freedBytes = 0;
  let isShared = false;
  for (const path of [...paths, layout.download(model).partial]) {
    const status = await onDisk(layout.models, () => statusIfAny(path));
    if (status === undefined) continue;
    await onDisk(layout.models, () => removeFile(path));
    // A link that somebody put in the place of the file frees its own few bytes alone.
    if (status.nlink === 1) freedBytes += bytesOnDisk(status);
    isShared ||= status.nlink > 1 || status.isSymbolicLink();
  }
  await names.remove(model, { signal });
  return { freedBytes, isShared };
}

async function statusIfAny(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
