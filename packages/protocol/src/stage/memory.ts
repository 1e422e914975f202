import type { CacheType, PlannedSpec } from '../deployment/spec.ts';
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

/** The part of a spec that determines the size of its KV cache. */
export type KvCacheOptions = Pick<PlannedSpec, 'contextTokens'> & CacheTypes;

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
 * Returns the size of a cache relative to f16. Of two types the larger one counts for more: shapes do not say whether
 * keys or values are wider.
 */
function cacheShare({ cacheType, valueCacheType = cacheType }: CacheTypes): number {
  const shares = [cacheShares[cacheType], cacheShares[valueCacheType]];
  return widerShare * Math.max(...shares) + (1 - widerShare) * Math.min(...shares);
}

/**
 * Returns how many tokens of finished and preempted sequences a replica keeps in main memory, beside those in its KV
 * cache: as many as the cache holds, and at most 512 MiB over all stages. The planner reserves the memory, the lead
 * fills it, and every stage refuses more.
 */
export function swapTokens(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer' | 'layers'>,
  options: KvCacheOptions,
): number {
  const { contextTokens } = options;
  const tokenBytes = kvBytes(shape, { ...options, layers: shape.layers, tokens: 1 });
  return Math.min(contextTokens, Math.floor(maxSwapBytes / Math.max(1, tokenBytes)));
}
