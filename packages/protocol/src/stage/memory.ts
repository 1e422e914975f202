import type { ModelShape } from '../model/manifest.ts';
import type { CacheType } from './messages.ts';

/** Bytes per byte that the same would take in f16. q8_0: 34 bytes for 32 values, of which two are their scale. */
const cacheShares: Readonly<Record<CacheType, number>> = { f16: 1, q8_0: 34 / 64 };
/** Of main memory for swapped sequences of one replica, all stages together. */
const maxSwapBytes = 512 * 1024 * 1024;

/**
 * Rows of the largest micro-batch that our engines compute. Compute buffers grow with it: the planner estimates them, and every
 * stage allocates them.
 */
export const microBatchRows = 128;

export interface KvCacheOptions {
  /** Tokens of KV cache. */
  readonly contextTokens: number;
  /** Default `f16`. */
  readonly cacheType?: CacheType | undefined;
}

/** Bytes that keys and values of a number of tokens take in some layers of a model. */
export function kvBytes(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer'>,
  options: { readonly layers: number; readonly tokens: number; readonly cacheType?: CacheType | undefined },
): number {
  const { layers, tokens, cacheType = 'f16' } = options;
  return Math.ceil(shape.kvBytesPerTokenPerLayer * layers * tokens * cacheShares[cacheType]);
}

/**
 * Tokens of finished and preempted sequences that a replica keeps in main memory, beside those in its KV cache: as many as the cache
 * holds, and no more than 512 MiB over all stages. The planner reserves the memory, the lead fills it, and every stage
 * refuses more.
 */
export function swapTokens(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer' | 'layers'>,
  { contextTokens, cacheType }: KvCacheOptions,
): number {
  const tokenBytes = kvBytes(shape, { layers: shape.layers, tokens: 1, cacheType });
  return Math.min(contextTokens, Math.floor(maxSwapBytes / Math.max(1, tokenBytes)));
}
