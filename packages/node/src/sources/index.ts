export { createSource } from './create-source.ts';
export { parseModelReference, type ModelReference } from './model-reference.ts';
export type { ModelSource, OfferedFile, ReadOptions } from './model-source.ts';
export { withoutPart } from './part-names.ts';
export type { HuggingFaceSpec, LocalFileSpec, PackagePart, PythonPackageSpec, SourceSpec } from './source-spec.ts';
