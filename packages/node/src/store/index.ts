export type { MeasureFreeBytes } from '../disk/index.ts';
export { meshSectionSource, type MeshSectionSource, type MeshSectionSourceOptions } from './mesh-section-source.ts';
export { openStore, type ModelStore, type StoreOptions } from './model-store.ts';
export type { PullOptions } from './pull.ts';
export { namesToCome } from './pull-plan.ts';
export type { PullProgress } from './pull-progress.ts';
export type { ByteRange } from './read-ranges.ts';
export { serveModels } from './serve-models.ts';
