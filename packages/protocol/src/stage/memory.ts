import type { CacheType, PlannedSpec } from '../deployment/spec.ts';
import type { ModelShape } from '../model/manifest.ts';

/** Size of keys and values by type, relative to f16. q8_0: 34 bytes for 32 values, two of them for their scale. */
const cacheShares: Readonly<Record<CacheType, number>> = { f16: 1, q8_0: 34 / 64 };
/** Most main memory for swapped sequences of one replica, in bytes, all stages together. */
const maxSwapBytes = 512 * 1024 * 1024;

/** The part of a spec that determines the size of its KV cache. */
export type KvCacheOptions = Pick<PlannedSpec, 'contextTokens' | 'cacheType'>;

/** Returns the bytes that keys and values of `tokens` tokens take in `layers` layers of a model. */
export function kvBytes(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer'>,
  options: { readonly layers: number; readonly tokens: number; readonly cacheType: CacheType },
): number {
  const { layers, tokens, cacheType } = options;
  return Math.ceil(shape.kvBytesPerTokenPerLayer * layers * tokens * cacheShares[cacheType]);
}

/**
 * Returns how many tokens of finished and preempted sequences a replica keeps in main memory, beside those in its KV
 * cache: as many as the cache holds, and at most 512 MiB over all stages. The planner reserves the memory, the lead
 * fills it, and every stage refuses more.
 */
export function swapTokens(
  shape: Pick<ModelShape, 'kvBytesPerTokenPerLayer' | 'layers'>,
  { contextTokens, cacheType }: KvCacheOptions,
): number {
  const tokenBytes = kvBytes(shape, { layers: shape.layers, tokens: 1, cacheType });
  return Math.min(contextTokens, Math.floor(maxSwapBytes / Math.max(1, tokenBytes)));
}
