import { plannedSpecSchema, type ModelManifest } from '@skein/protocol';

import type { EngineLoad } from '../control.ts';

interface WholeModelLoad extends Pick<EngineLoad, 'file' | 'libraryDirectory' | 'fallbackDirectory' | 'gpu'> {
  readonly contextTokens: number;
  readonly sequences: number;
}

/** Makes the message that loads a whole model as the one stage of a pipeline, computed by one thread where no GPU is given. */
export function wholeModelLoad(
  { model, shape }: ModelManifest,
  { contextTokens, sequences, ...options }: WholeModelLoad,
): EngineLoad {
  return {
    type: 'engine-load',
    stage: 0,
    stages: 1,
    layers: shape.layers,
    cacheBytes: 0,
    hiddenTensor: '',
    hiddenSize: shape.hiddenSize,
    spec: plannedSpecSchema.parse({ model, contextTokens, sequences }),
    swapTokens: 0,
    threads: 1,
    ...options,
  };
}
