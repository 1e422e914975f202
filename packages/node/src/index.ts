export { isDesktop } from './awake/desktop.ts';
export { defaultModelName } from './catalog/index.ts';
export { backends, type Backend } from './hardware/backend.ts';
export { examineGpus, type BackendReport, type GpuProblem } from './hardware/examine.ts';
export { findRuntime, installRuntime } from './hardware/runtime-libraries.ts';
export { splitModes, type GpuOptions } from './hardware/gpu-options.ts';
export { createPeer, type Peer, type PeerOptions } from './peer/peer.ts';
export {
  mayBePath,
  parseModelReference,
  readSourceSettings,
  type ModelReference,
  type SourceSettings,
} from './sources/index.ts';
export {
  findLocalModel,
  findLocalModels,
  isLocalModelReference,
  localModelPlaces,
  type LocalModelPlaces,
} from './local-models/index.ts';
export { namesToCome, openStore, type ModelStore, type PullOptions, type PullProgress } from './store/index.ts';
