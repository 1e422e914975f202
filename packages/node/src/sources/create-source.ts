import { huggingFaceSource } from './hugging-face.ts';
import { localFileSource } from './local-file.ts';
import type { ModelSource } from './model-source.ts';
import { pythonPackageSource } from './python-package.ts';
import type { SourceSpec } from './source-spec.ts';

/** Makes the adapter for a source. */
export function createSource(spec: SourceSpec): ModelSource {
  switch (spec.kind) {
    case 'hugging-face':
      return huggingFaceSource(spec);
    case 'python-package':
      return pythonPackageSource(spec);
    case 'local-file':
      return localFileSource(spec);
  }
}
