import { basename } from 'node:path';

import type { ModelReference, SourceSpec } from '../sources/index.ts';

/** What a reference comes down to. */
export interface PullPlan {
  /** Name for the manifest. */
  readonly name: string;
  /** What the file must be, where that is known beforehand. */
  readonly pinned?: { readonly sha256: string; readonly bytes: number };
  /** What else the model is found by afterwards. The catalog's own names need not be remembered. */
  readonly remember: readonly string[];
  /** In the order to try. */
  readonly sources: readonly SourceSpec[];
}

/** Decides what to pull from where. */
export function planPull(reference: ModelReference): PullPlan {
  switch (reference.kind) {
    case 'catalog': {
      const { name, sha256, bytes, sources } = reference.entry;
      return { name, pinned: { sha256, bytes }, remember: [], sources };
    }
    case 'hugging-face': {
      const { repository, file } = reference;
      const name = modelName(file);
      return { name, remember: [name, `hf:${repository}/${file}`], sources: [reference] };
    }
    case 'local-file': {
      const name = modelName(reference.path);
      return { name, remember: [name], sources: [reference] };
    }
  }
}

function modelName(path: string): string {
  return basename(path).replace(/\.gguf$/i, '') || 'model';
}
