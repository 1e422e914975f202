import { basename } from 'node:path';

import { limits } from '@skein/protocol';

import {
  referenceTo,
  withoutPart,
  type ModelReference,
  type RepositorySpec,
  type SourceSpec,
} from '../sources/index.ts';

/** The steps to which a reference comes down. */
export interface PullPlan {
  /** Name for the manifest. */
  readonly name: string;
  /** Hash and size that the file must have, where they are known beforehand. */
  readonly pinned?: { readonly sha256: string; readonly bytes: number };
  /** Names to remember for the model. The catalog's own names need no remembering. */
  readonly remember: readonly string[];
  /** Sources in the order in which to try them. */
  readonly sources: readonly SourceSpec[];
}

/** Plans a pull: the model's name, its sources, and the hash that it must have. */
export function planPull(reference: Exclude<ModelReference, RepositorySpec>): PullPlan {
  switch (reference.kind) {
    case 'catalog': {
      const { name, sha256, bytes, sources } = reference.entry;
      return { name, pinned: { sha256, bytes }, remember: [], sources };
    }
    case 'hugging-face': {
      const name = modelName(reference.file);
      return { name, remember: [name, referenceTo(reference)], sources: [reference] };
    }
    case 'local-file': {
      const name = reference.name ?? modelName(reference.path);
      return { name, remember: [name], sources: [reference] };
    }
  }
}

/** Returns the names that a model has once it is pulled, as far as its reference tells. */
export function namesToCome(reference: ModelReference): readonly string[] {
  if (reference.kind === 'repository') return [referenceTo(reference)];
  if (reference.kind !== 'catalog') return planPull(reference).remember;
  const { name, aliases, sha256 } = reference.entry;
  return [name, ...aliases, sha256];
}

function modelName(path: string): string {
  const name = basename(withoutPart(path)).replace(/\.gguf$/i, '') || 'model';
  // The name of a file may be anybody's choice: one that is too long for a manifest must not fail at the end of a pull.
  return name.slice(0, limits.maxNameLength);
}
