export { createSource, type CreateSource } from './create-source.ts';
export { resolveInRepository } from './repository.ts';
export { readSourceSettings, type SourceSettings } from './source-settings.ts';
export { AccessToken } from './access-token.ts';
export type { HuggingFaceOptions } from './hugging-face.ts';
export { mayBePath, parseModelReference, referenceTo, type ModelReference } from './model-reference.ts';
export type { ModelSource, OfferedFile, ReadOptions } from './model-source.ts';
export { mayBeModel } from './quantization.ts';
export { partPaths, withoutPart } from './part-names.ts';
export type {
  HuggingFaceSpec,
  LocalFileSpec,
  PackagePart,
  PythonPackageSpec,
  RepositorySpec,
  SourceSpec,
} from './source-spec.ts';
