import type { Block, ModelManifest } from '@skein/protocol';

import { blockSums } from './block-sums.ts';

/**
 * Share of the computed tokens that a token is drawn after: the others are a prompt's, and need no output matrix.
 * Earlier turns of a conversation are in the cache and not computed again, so prompts are the smaller part.
 */
const drawnShare = 0.75;

/** Weights that a stage multiplies with for one token on average: its layers', and on the tail the output matrix's. */
export type DecodeWork = (block: Block) => number;

/**
 * Returns the work of a model's blocks. It counts weights rather than their bytes: on the CPUs measured, a weight of 8
 * bits takes no longer than one of 4 (SmolLM2's output matrix in Q8_0 takes as long as 7.4 of its layers in Q4_1, has
 * as many weights as 8 of them, and as many bytes as 13.6). Experts that a token does not use count, too: the share
 * that it uses is the same in all layers.
 */
export function decodeWork(manifest: ModelManifest): DecodeWork {
  const layerWeights = Array.from({ length: manifest.shape.layers }, () => 0);
  let [embedding, output] = [0, 0];
  for (const section of manifest.sections) {
    if (section.kind !== 'tensor') continue;
    const weights = section.shape.reduce((product, extent) => product * extent, 1);
    const layer = Number(/^blk\.(\d+)\./.exec(section.name)?.[1] ?? Number.NaN);
    const sum = layerWeights[layer];
    if (sum !== undefined) layerWeights[layer] = sum + weights;
    else if (section.name.startsWith('token_embd.')) embedding += weights;
    else if (section.name.startsWith('output.')) output += weights;
  }
  const weightsOf = blockSums(layerWeights);
  const { layers } = manifest.shape;
  const outputWork = drawnShare * (output === 0 ? embedding : output);
  return (block) => weightsOf(block) + (block.to === layers ? outputWork : 0);
}
