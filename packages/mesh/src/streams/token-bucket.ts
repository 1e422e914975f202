export interface TokenBucketOptions {
  /** Bytes, or other units, that may come in a second. */
  readonly unitsPerSecond: number;
  /** Units that may come at once after a rest. */
  readonly burst: number;
}

/**
 * A token bucket: it tells how long a reader has to rest so that a remote's units come no faster, in the long run, than
 * they may.
 */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #allowance: number;
  #atMs: number;

  constructor(options: TokenBucketOptions, nowMs: number) {
    this.#options = options;
    this.#allowance = options.burst;
    this.#atMs = nowMs;
  }

  /** Counts units that were read. Returns the milliseconds to rest before reading more. */
  take(units: number, nowMs: number): number {
    const { unitsPerSecond, burst } = this.#options;
    const earned = (Math.max(0, nowMs - this.#atMs) * unitsPerSecond) / 1000;
    this.#allowance = Math.min(burst, this.#allowance + earned) - units;
    this.#atMs = nowMs;
    return this.#allowance >= 0 ? 0 : (-this.#allowance * 1000) / unitsPerSecond;
  }
}
