import type { CacheType, PlannedSpec } from '../deployment/spec.ts';
import { limits } from '../limits.ts';
import type { ModelShape } from '../model/manifest.ts';

/** Size of keys or values by type, relative to f16: bytes of a block of 32 values, with its scale and minimum, by 64. */
const cacheShares: Readonly<Record<CacheType, number>> = {
  f16: 1,
  bf16: 1,
  q8_0: 34 / 64,
  q5_1: 24 / 64,
  q4_0: 18 / 64,
};
/** Share of a cache that its wider half takes: models whose keys and values differ in width are up to 3 to 2. */
const widerShare = 0.6;
/** Most main memory for swapped sequences of one replica, in bytes, all stages together. */
const maxSwapBytes = 512 * 1024 * 1024;

/** Multiple to which llama.cpp rounds the cells of a window's cache. */
const windowCells = 256;

/** The part of a spec that determines the size of its KV cache. */
export type KvCacheOptions = Pick<PlannedSpec, 'contextTokens' | 'sequences' | 'windowedCache'> & CacheTypes;

/** Storage of keys and values. */
export type CacheTypes = Pick<PlannedSpec, 'cacheType' | 'valueCacheType'>;

/** Returns the bytes that keys and values of `tokens` tokens take in `layers` layers of a model. */
export function kvBytes(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer'>,
  options: { readonly layers: number; readonly tokens: number } & CacheTypes,
): number {
  const { layers, tokens } = options;
  return Math.ceil(shape.kvBytesPerTokenPerLayer * layers * tokens * cacheShare(options));
}

/**
 * Returns the bytes that the KV cache of each of a model's layers takes. A windowed cache has room for the window of each
 * sequence and the rows of a micro-batch.
 */
export function layerCacheBytes(shape: ModelShape, options: KvCacheOptions): readonly number[] {
  const { contextTokens, sequences, windowedCache = false } = options;
  const { tokens: window, period } = (windowedCache ? shape.slidingWindow : undefined) ?? { tokens: 0, period: 1 };
  const cells = Math.ceil((window * sequences + limits.maxBatchTokens) / windowCells) * windowCells;
  return Array.from({ length: shape.layers }, (_, layer) => {
    const isWindowed = period === 0 || layer % period < period - 1;
    return kvBytes(shape, {
      ...options,
      layers: 1,
      tokens: isWindowed ? Math.min(contextTokens, cells) : contextTokens,
    });
  });
}

/** Returns the bytes of each layer's KV cache, and of what is swapped out of it to main memory. */
export function layerStateBytes(shape: ModelShape, options: KvCacheOptions): readonly number[] {
  const swapped = kvBytes(shape, { ...options, layers: 1, tokens: swapTokens(shape, options) });
  return layerCacheBytes(shape, options).map((bytes) => bytes + swapped);
}

/**
 * Returns the size of a cache relative to f16. Of two types the larger one counts for more: shapes do not say whether
 * keys or values are wider.
 */
function cacheShare({ cacheType, valueCacheType = cacheType }: CacheTypes): number {
  const shares = [cacheShares[cacheType], cacheShares[valueCacheType]];
  return widerShare * Math.max(...shares) + (1 - widerShare) * Math.min(...shares);
}

/**
 * Returns how many tokens of finished and preempted sequences a replica keeps in main memory, beside those in its KV
 * cache: as many as the cache holds, and at most 512 MiB over all stages; none where the cache is windowed. The planner
 * reserves the memory, the lead fills it, and every stage refuses more.
 */
export function swapTokens(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer' | 'layers'>,
  options: KvCacheOptions,
): number {
  const { contextTokens, windowedCache } = options;
  if (windowedCache === true) return 0;
  const tokenBytes = kvBytes(shape, { ...options, layers: shape.layers, tokens: 1 });
  return Math.min(contextTokens, Math.floor(maxSwapBytes / Math.max(1, tokenBytes)));
}
