import { huggingFaceSource, type HuggingFaceOptions } from './hugging-face.ts';
import { localFileSource } from './local-file.ts';
import type { ModelSource } from './model-source.ts';
import { partPaths } from './part-names.ts';
import { partsSource } from './parts.ts';
import { pythonPackageSource } from './python-package.ts';
import type { SourceSpec } from './source-spec.ts';

export type CreateSource = typeof createSource;

/**
 * Makes the adapter for a source. A file that is one of several parts stands for all of them.
 *
 * @throws SkeinError `invalid-request` for settings that can't be used; `model-invalid` for an impossible part
 */
export function createSource(spec: SourceSpec, options: HuggingFaceOptions = {}): ModelSource {
  switch (spec.kind) {
    case 'hugging-face':
      return wholeSource(spec.file, (file) => huggingFaceSource({ ...spec, file }, options));
    case 'python-package':
      return pythonPackageSource(spec);
    case 'local-file':
      return wholeSource(spec.path, (path) => localFileSource({ ...spec, path }));
  }
}

function wholeSource(path: string, sourceAt: (path: string) => ModelSource): ModelSource {
  const parts = partPaths(path);
  return parts === undefined ? sourceAt(path) : partsSource(parts.map(sourceAt));
}
