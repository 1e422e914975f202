/** A change of the prefixes that a replica holds, as digests of their blocks. */
export interface PrefixChange {
  /** Whether what it held before counts no more. */
  readonly isAnew: boolean;
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/** The prefixes of one replica in the index. */
export class PrefixHolder {
  /** Digests of blocks that the lead says it holds. */
  readonly told = new Set<number>();
  /** Number of predictions that it holds a block, by digest. */
  readonly predicted = new Map<number, number>();
  /** Blocks of the prompt that was looked up last in which it was found. */
  found = { lookUp: 0, blocks: 0 };
}

/** A prediction that a replica holds the blocks of a prompt. */
export interface Prediction {
  readonly holder: PrefixHolder;
  readonly digests: readonly number[];
}

/** Most blocks in the index: replicas that tell of more are not listened to. About 100 MB. */
const maxBlocks = 1_000_000;

/**
 * An index of the replicas by the blocks of text that their caches hold. The digest of a block covers all blocks before
 * it, so who holds a block holds those, too.
 */
export class PrefixIndex {
  readonly #holders = new Map<number, Set<PrefixHolder>>();
  /** Predictions that end, those that end first before the others. */
  #ending: (Prediction & { readonly endsAtMs: number })[] = [];
  #blocks = 0;
  #lookUps = 0;

  /** Takes what a replica says of its cache. */
  change(holder: PrefixHolder, { isAnew, added, removed }: PrefixChange): void {
    if (isAnew) for (const digest of holder.told) this.#untell(holder, digest);
    for (const digest of removed) this.#untell(holder, digest);
    for (const digest of added) {
      if (holder.told.has(digest) || this.#blocks >= maxBlocks) continue;
      holder.told.add(digest);
      this.#enter(holder, digest);
    }
  }

  /** Counts a replica as a holder of the blocks of a prompt that is sent there, until the prediction is ended. */
  predict(holder: PrefixHolder, digests: readonly number[]): Prediction {
    if (this.#blocks >= maxBlocks) return { holder, digests: [] };
    for (const digest of digests) {
      holder.predicted.set(digest, (holder.predicted.get(digest) ?? 0) + 1);
      this.#enter(holder, digest);
    }
    return { holder, digests };
  }

  /** Ends a prediction at a time, those that end first before the others. Call it once. */
  endAt(prediction: Prediction, endsAtMs: number): void {
    this.#ending.push({ ...prediction, endsAtMs });
  }

  /** Forgets a replica. */
  remove(holder: PrefixHolder): void {
    const digests = [...holder.told, ...holder.predicted.keys()];
    holder.told.clear();
    holder.predicted.clear();
    for (const digest of digests) this.#leave(holder, digest);
  }

  /**
   * Looks a prompt up: notes with each holder how many of its first blocks it has. Returns the number of the look-up,
   * which holders that were found carry.
   */
  lookUp(digests: readonly number[], nowMs: number): number {
    this.#expire(nowMs);
    this.#lookUps += 1;
    const lookUp = this.#lookUps;
    const all = this.#holders.get(digests[0] ?? NaN)?.size ?? 0;
    let found = 0;
    // The longest first: most holders of the first blocks of many prompts hold the same number of them.
    for (let blocks = this.#known(digests); blocks > 0 && found < all; blocks -= 1) {
      for (const holder of this.#holders.get(digests[blocks - 1] ?? NaN) ?? []) {
        if (holder.found.lookUp === lookUp) continue;
        holder.found.lookUp = lookUp;
        holder.found.blocks = blocks;
        found += 1;
      }
    }
    return lookUp;
  }

  /** Returns how many of the first blocks somebody holds. */
  #known(digests: readonly number[]): number {
    let [known, unknown] = [0, digests.length + 1];
    while (unknown - known > 1) {
      const middle = (known + unknown) >> 1;
      if (this.#holders.has(digests[middle - 1] ?? NaN)) known = middle;
      else unknown = middle;
    }
    return known;
  }

  #expire(nowMs: number): void {
    let ended = 0;
    for (const { holder, digests, endsAtMs } of this.#ending) {
      if (endsAtMs > nowMs) break;
      ended += 1;
      for (const digest of digests) {
        const left = (holder.predicted.get(digest) ?? 1) - 1;
        if (left > 0) holder.predicted.set(digest, left);
        else if (holder.predicted.delete(digest)) this.#leave(holder, digest);
      }
    }
    if (ended > 0) this.#ending = this.#ending.slice(ended);
  }

  #untell(holder: PrefixHolder, digest: number): void {
    if (holder.told.delete(digest)) this.#leave(holder, digest);
  }

  #enter(holder: PrefixHolder, digest: number): void {
    const holders = this.#holders.get(digest);
    if (holders === undefined) this.#holders.set(digest, new Set([holder]));
    else if (holders.has(holder)) return;
    else holders.add(holder);
    this.#blocks += 1;
  }

  /** Takes a replica out of the holders of a block, unless it is told or predicted to hold it. */
  #leave(holder: PrefixHolder, digest: number): void {
    if (holder.told.has(digest) || holder.predicted.has(digest)) return;
    const holders = this.#holders.get(digest);
    if (holders?.delete(holder) !== true) return;
    this.#blocks -= 1;
    if (holders.size === 0) this.#holders.delete(digest);
  }
}
