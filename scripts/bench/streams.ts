import type { BenchModel } from './models.ts';

/** Numbers of answers at once that are measured. */
export const streamCounts = [1, 4, 16] as const;

/** Room of each stream, in tokens, for both sides of a comparison. */
export const streamContextTokens = 512;

/** Returns the length of each answer in tokens: enough for a second or two of them together. */
export function tokensPerStream({ key }: Pick<BenchModel, 'key'>, streams: number): number {
  if (key === 'synthetic') return streams === 1 ? 64 : 32;
  return streams === 1 ? 128 : 64;
}
