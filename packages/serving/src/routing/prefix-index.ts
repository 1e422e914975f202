/** A change of the prefixes that a replica holds, as digests of their blocks. */
export interface PrefixChange {
  /** Whether what it held before counts no more. */
  readonly isAnew: boolean;
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/** The prefixes of one replica in the index. */
export class PrefixHolder {
  /** Its number in the index. Sets of numbers are read several times as fast as sets of objects. */
  readonly slot: number;
  /** Whether its lead tells what it holds. */
  tells = false;
  /** Digests of blocks that the lead says it holds. */
  readonly told = new Set<number>();
  /** Number of predictions that it holds a block, by digest. */
  readonly predicted = new Map<number, number>();

  constructor(slot: number) {
    this.slot = slot;
  }
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
  /** Slots of the holders of a block. */
  readonly #holders = new Map<number, Set<number>>();
  /** Number of the last look-up that found a holder, and the blocks of that prompt that it has, by slots. */
  #foundIn = new Float64Array(16);
  #foundBlocks = new Uint16Array(16);
  readonly #freeSlots: number[] = [];
  #slots = 0;
  /** Predictions that end, by how long they last: those that end first before the others. */
  readonly #ending = new Map<number, (Prediction & { readonly endsAtMs: number })[]>();
  #blocks = 0;
  #lookUps = 0;

  /** Adds a replica, which holds nothing yet. */
  add(): PrefixHolder {
    const holder = new PrefixHolder(this.#freeSlots.pop() ?? this.#slots);
    this.#slots = Math.max(this.#slots, holder.slot + 1);
    if (this.#slots > this.#foundIn.length) {
      const [foundIn, foundBlocks] = [this.#foundIn, this.#foundBlocks];
      this.#foundIn = new Float64Array(2 * foundIn.length);
      this.#foundIn.set(foundIn);
      this.#foundBlocks = new Uint16Array(2 * foundBlocks.length);
      this.#foundBlocks.set(foundBlocks);
    }
    return holder;
  }

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

  /** Ends a prediction after a time. Call it once. */
  endAfter(prediction: Prediction, { forMs, nowMs }: { readonly forMs: number; readonly nowMs: number }): void {
    const ending = this.#ending.get(forMs) ?? [];
    ending.push({ ...prediction, endsAtMs: nowMs + forMs });
    this.#ending.set(forMs, ending);
  }

  /** Removes a replica for good. */
  remove(holder: PrefixHolder): void {
    this.forget(holder);
    this.#freeSlots.push(holder.slot);
  }

  /** Forgets what a replica holds. */
  forget(holder: PrefixHolder): void {
    const digests = [...holder.told, ...holder.predicted.keys()];
    holder.told.clear();
    holder.predicted.clear();
    for (const digest of digests) this.#leave(holder, digest);
  }

  /**
   * Looks a prompt up: notes of each holder how many of its first blocks it has. Returns the number of the look-up, for
   * {@link foundBlocks}.
   */
  lookUp(digests: readonly number[], nowMs: number): number {
    this.#expire(nowMs);
    this.#lookUps += 1;
    const lookUp = this.#lookUps;
    const all = this.#holders.get(digests[0] ?? NaN)?.size ?? 0;
    let found = 0;
    // The longest first: most holders of the first blocks of many prompts hold the same number of them.
    for (let blocks = this.#known(digests); blocks > 0 && found < all; blocks -= 1) {
      for (const slot of this.#holders.get(digests[blocks - 1] ?? NaN) ?? []) {
        if (this.#foundIn[slot] === lookUp) continue;
        this.#foundIn[slot] = lookUp;
        this.#foundBlocks[slot] = blocks;
        found += 1;
      }
    }
    return lookUp;
  }

  /** Returns how many of the first blocks a replica has of the prompt of the last look-up, whose number it takes. */
  foundBlocks({ slot }: PrefixHolder, lookUp: number): number {
    return this.#foundIn[slot] === lookUp ? (this.#foundBlocks[slot] ?? NaN) : 0;
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
    for (const [forMs, ending] of this.#ending) {
      let ended = 0;
      for (const prediction of ending) {
        if (prediction.endsAtMs > nowMs) break;
        ended += 1;
        this.#end(prediction);
      }
      if (ended > 0) this.#ending.set(forMs, ending.slice(ended));
    }
  }

  #end({ holder, digests }: Prediction): void {
    for (const digest of digests) {
      const left = (holder.predicted.get(digest) ?? 1) - 1;
      if (left > 0) holder.predicted.set(digest, left);
      else if (holder.predicted.delete(digest)) this.#leave(holder, digest);
    }
  }

  #untell(holder: PrefixHolder, digest: number): void {
    if (holder.told.delete(digest)) this.#leave(holder, digest);
  }

  #enter(holder: PrefixHolder, digest: number): void {
    const holders = this.#holders.get(digest);
    if (holders === undefined) this.#holders.set(digest, new Set([holder.slot]));
    else if (holders.has(holder.slot)) return;
    else holders.add(holder.slot);
    this.#blocks += 1;
  }

  /** Takes a replica out of the holders of a block, unless it is told or predicted to hold it. */
  #leave(holder: PrefixHolder, digest: number): void {
    if (holder.told.has(digest) || holder.predicted.has(digest)) return;
    const holders = this.#holders.get(digest);
    if (holders?.delete(holder.slot) !== true) return;
    this.#blocks -= 1;
    if (holders.size === 0) this.#holders.delete(digest);
  }
}
