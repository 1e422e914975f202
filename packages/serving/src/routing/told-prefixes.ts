import { TokenBucket } from '@skein/mesh';
import { prefixLimits, SkeinError, type PrefixDelta } from '@skein/protocol';

/** The bounds on what one lead may tell of its cache, so that it costs nobody else anything. */
export class ToldPrefixes {
  readonly #held = new Set<number>();
  readonly #pace: TokenBucket;

  constructor(nowMs: number) {
    const { maxHeld: burst, maxPerSecond: unitsPerSecond } = prefixLimits;
    this.#pace = new TokenBucket({ burst, unitsPerSecond }, nowMs);
  }

  /**
   * Takes a change. Returns the milliseconds to rest before the next one is read.
   *
   * @throws SkeinError `protocol-violation` for more digests than a lead may hold
   */
  take({ added, removed }: PrefixDelta, nowMs: number): number {
    for (const digest of removed) this.#held.delete(digest);
    for (const digest of added) this.#held.add(digest);
    if (this.#held.size > prefixLimits.maxHeld) {
      throw new SkeinError('protocol-violation', `a lead tells of more than ${prefixLimits.maxHeld} prefixes`);
    }
    return this.#pace.take(added.length + removed.length, nowMs);
  }
}
