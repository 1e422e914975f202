export type { ContentCheck } from './content-check.ts';
export { splitArchitecture, splitRule, type SlidingWindow, type SplitArchitecture } from './architectures.ts';
export { ensureStageFile, type StageFile, type StageFileRequest } from './cutter.ts';
export { generationKeys, whyItDoesNotGenerate } from './generates.ts';
export { createManifest } from './manifest.ts';
export { architectureOf, metadataView, type MetadataView } from './metadata-view.ts';
export type { Progress } from './progress.ts';
export { fileSectionSource, type SectionSource } from './section-source.ts';
export { planStageFile, sectionsOf, type StageFileKind, type StageFilePlan } from './sections.ts';
