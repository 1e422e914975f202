import {
  kvBytes,
  microBatchRows,
  swapTokens,
  type Block,
  type KvCacheOptions,
  type ModelManifest,
  type ModelShape,
} from '@skein/protocol';

import { modelSize } from './model-size.ts';
import { blockSums } from './block-sums.ts';

/** Allowance for the engine process itself: runtime, llama.cpp and its smaller buffers. Not measured yet. */
const engineBytes = 96 * 1024 * 1024;
/**
 * Rows of activations alive at once in a layer's graph, in multiples of the hidden size: the residual, the norm, queries,
 * keys and values, and the two feed-forward intermediates, which are three to four times as wide as the hidden state.
 */
const activationRows = 16;
const floatBytes = 4;

/** Bytes of memory that a peer needs for a block of a model. */
export type StageMemory = (block: Block) => number;

/**
 * Makes the memory formula of one model with one KV cache. A stage takes
 *
 *     weights   its layers + the small global tensors + token embeddings (lead) + output matrix (tail)
 *     KV cache  kvBytesPerTokenPerLayer * layers of the block * (contextTokens + swapTokens) (* 34 / 64 in q8_0)
 *     compute   batch * 4 * (16 * hiddenSize + contextTokens + vocabularySize (tail)) + 96 MiB
 *
 * where swapTokens are those of finished sequences in main memory ({@link swapTokens}) and
 * batch = min(contextTokens, microBatchRows): activations, attention mask and logits are f32. The
 * estimate leans to the high side: memory that runs out kills an engine, memory left over costs nothing.
 */
export function stageMemory(manifest: ModelManifest, options: KvCacheOptions): StageMemory {
  const size = modelSize(manifest);
  const { shape } = manifest;
  const { contextTokens, cacheType } = options;
  const tokens = contextTokens + swapTokens(shape, options);
  const layerBytesOf = blockSums(size.layerBytes);
  return (block) => {
    const { from, to } = block;
    const isLead = from === 0;
    const isTail = to === shape.layers;
    // A whole model with tied weights holds the one matrix once.
    const embeddingBytes = isLead && !(isTail && size.tied) ? size.embeddingBytes : 0;
    const outputBytes = isTail ? size.outputBytes : 0;
    const layers = layerBytesOf(block);
    const cacheBytes = kvBytes(shape, { layers: to - from, tokens, cacheType });
    return (
      layers + size.sharedBytes + embeddingBytes + outputBytes + cacheBytes + computeBytes(shape, contextTokens, isTail)
    );
  };
}

function computeBytes(shape: ModelShape, contextTokens: number, isTail: boolean): number {
  const batch = Math.min(contextTokens, microBatchRows);
  const columns = activationRows * shape.hiddenSize + contextTokens + (isTail ? shape.vocabularySize : 0);
  return batch * columns * floatBytes + engineBytes;
}
