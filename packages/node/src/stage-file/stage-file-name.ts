import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { encodeValue, isSkeinError, type ModelManifest } from '@skein/protocol';

import { openFileSource, readGgufLayout } from '../gguf/index.ts';
import { planStageFile, type StageFileKind, type StageFilePlan } from './sections.ts';

/**
 * Version of the file format, part of the file name: raise it when files cut by an older version must not be used any
 * more.
 */
const formatVersion = 2;
const stageFileName = /^[0-9a-f]{64}\.gguf$/;

/** Tells whether a name is that of a finished stage file. */
export function isStageFileName(name: string): boolean {
  return stageFileName.test(name);
}

/**
 * Names a file by all its content: a false manifest's files are its own, so nobody else uses them. The model's name and
 * the places of sections in its file do not matter.
 */
export function nameStageFile({ model, shape }: ModelManifest, plan: StageFilePlan): string {
  const { part, block, rewritable, copied, tensors } = plan;
  const { architecture, layers } = shape;
  // A front does not depend on the block.
  const { from, to } = part === 'front' ? { from: 0, to: layers } : block;
  const identity = encodeValue({
    formatVersion,
    model,
    part,
    block: [from, to],
    shape: [architecture, layers],
    rewritable: rewritable.map(({ name, sha256 }) => [name, sha256]),
    copied: copied.map(({ name, sha256 }) => [name, sha256]),
    tensors: tensors.map(({ name, type, shape, section }) => [name, type, [...shape], section?.sha256 ?? null]),
  });
  return `${createHash('sha256').update(identity).digest('hex')}.gguf`;
}

/** Lists the paths of the stage files in a directory that were cut from a model. Files that can't be read are left out. */
export async function findStageFiles(directory: string, manifest: ModelManifest): Promise<readonly string[]> {
  const present = new Set((await readdir(directory).catch(() => [])).filter(isStageFileName));
  const { architecture, layers } = manifest.shape;
  // Names are hashes: the files tell how many layers they have, and then there are few names that they can have.
  const lengths = new Set<number>();
  for (const name of present) {
    const length = await layersIn(join(directory, name), architecture);
    if (length > 0) lengths.add(length);
  }
  const names = [nameIfAny(manifest, { from: 0, to: layers, kind: 'front' })];
  for (const length of lengths) {
    for (let from = 0; from + length <= layers; from++) {
      names.push(nameIfAny(manifest, { from, to: from + length, kind: 'stage' }));
    }
  }
  return names.flatMap((name) => (name !== undefined && present.has(name) ? join(directory, name) : []));
}

async function layersIn(path: string, architecture: string): Promise<number> {
  try {
    await using file = await openFileSource(path);
    const value = (await readGgufLayout(file)).metadata.get(`${architecture}.block_count`)?.value;
    return typeof value === 'number' ? value : 0;
  } catch {
    return 0;
  }
}

/** Returns the name of a stage file; undefined for one that the model can't be cut into. */
function nameIfAny(
  manifest: ModelManifest,
  { from, to, kind }: { readonly from: number; readonly to: number; readonly kind: StageFileKind },
): string | undefined {
  try {
    return nameStageFile(manifest, planStageFile(manifest, { from, to }, kind));
  } catch (error) {
    if (!isSkeinError(error)) throw error;
    return undefined;
  }
}
