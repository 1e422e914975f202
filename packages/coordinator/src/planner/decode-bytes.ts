import type { Block, ModelManifest } from '@skein/protocol';

import { modelSize } from './model-size.ts';
import { prefixSums } from './prefix-sums.ts';

/** Bytes of weights that a stage reads to decode one token: its layers, and on the tail the output matrix. */
export type DecodeBytes = (block: Block) => number;

/** For one model. Experts that a token does not use count, too: the share that it uses is the same in all layers. */
export function decodeBytes(manifest: ModelManifest): DecodeBytes {
  const { layerBytes, outputBytes } = modelSize(manifest);
  const sums = prefixSums(layerBytes);
  const { layers } = manifest.shape;
  return ({ from, to }) => (sums[to] ?? 0) - (sums[from] ?? 0) + (to === layers ? outputBytes : 0);
}
