/**
 * Bytes of weights up to which the caches of a processor may hold a stage between two of its steps, which they do not while
 * other stages and programs run in between. 32 MiB are common, 96 MiB the most that one core's caches have.
 */
const cacheBytes = 96 * 1024 * 1024;
/** Bytes of weights below which a stage is too small for any of that to matter. */
const leastBytes = 2 * 1024 * 1024;
/** 64 bytes: the size of a cache line on nearly all processors. */
const valuesPerLine = 8;

/** A buffer that takes the place of all else in a processor's caches. */
export class CacheSweep implements Disposable {
  #buffer: Float64Array;

  private constructor(bytes = cacheBytes) {
    this.#buffer = new Float64Array(bytes / Float64Array.BYTES_PER_ELEMENT).fill(1);
  }

  /**
   * Makes the sweep for a stage.
   *
   * @param weightBytes that a CPU computes with. With few the sweep does nothing
   */
  static for(weightBytes: number): CacheSweep {
    return new CacheSweep(weightBytes < leastBytes ? 0 : cacheBytes);
  }

  /** Makes a sweep of all that caches hold. */
  static whole(): CacheSweep {
    return new CacheSweep();
  }

  /** Whether {@link sweep} does anything. */
  get isAny(): boolean {
    return this.#buffer.length > 0;
  }

  /** Changes a value of each of its cache lines. */
  sweep(): void {
    const buffer = this.#buffer;
    for (let index = 0; index < buffer.length; index += valuesPerLine) buffer[index] = (buffer[index] as number) + 1;
  }

  /** Frees the buffer. */
  [Symbol.dispose](): void {
    this.#buffer = new Float64Array(0);
  }
}
