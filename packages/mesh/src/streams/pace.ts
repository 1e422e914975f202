export interface PaceOptions {
  readonly bytesPerSecond: number;
  /** What may come at once after a rest. */
  readonly burstBytes: number;
}

/** A token bucket: how long a reader has to rest so that a remote's bytes come no faster, in the long run, than they may. */
export class Pace {
  readonly #options: PaceOptions;
  #allowance: number;
  #atMs: number;

  constructor(options: PaceOptions, nowMs: number) {
    this.#options = options;
    this.#allowance = options.burstBytes;
    this.#atMs = nowMs;
  }

  /** Counts bytes that were read. Returns the milliseconds to rest before more are. */
  take(bytes: number, nowMs: number): number {
    const { bytesPerSecond, burstBytes } = this.#options;
    const earned = (Math.max(0, nowMs - this.#atMs) * bytesPerSecond) / 1000;
    this.#allowance = Math.min(burstBytes, this.#allowance + earned) - bytes;
    this.#atMs = nowMs;
    return this.#allowance >= 0 ? 0 : (-this.#allowance * 1000) / bytesPerSecond;
  }
}
