import { invariant, limits, type CacheOperation } from '@skein/protocol';

import { Cells } from './cells.ts';
import { commonPrefix } from './common-prefix.ts';
import { SwappedSequences } from './swapped-sequences.ts';

export interface PrefixCacheOptions {
  /** Sequences that the stages tell apart: running ones and kept ones. */
  readonly slots: number;
  /** KV cells, shared by all slots. */
  readonly cells: number;
  /** Keep finished sequences for those that start alike. False where the model's memory can't be cut back. */
  readonly keeps: boolean;
  /**
   * Tokens of finished sequences that are kept in main memory, to which they go when a sequence begins and no other one
   * runs, or when their room is needed. 0: they stay in their cells, where that costs nothing or where a sequence can't leave them.
   */
  readonly swapTokens: number;
}

/** A running sequence that others may start from. */
export interface PrefixSource {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** How many of its tokens are in every stage's cache for certain. */
  readonly confirmed: number;
}

/** A change that all stages have to make to their caches. */
export type SlotOperation = Exclude<CacheOperation, { type: 'sample-with' }>;

export interface Placement {
  readonly slot: number;
  /** Tokens of the prompt that the slot holds already. */
  readonly cachedTokens: number;
  /** In this order, before the sequence's first rows. */
  readonly operations: readonly SlotOperation[];
}

interface Kept {
  readonly slot: number;
  readonly tokens: readonly number[];
}

/**
 * Who holds which slot and which cells of the KV cache. Finished sequences are kept until their room is needed, least
 * recently used first to go. With a swap space they leave their cells when a sequence begins and no other one runs: cells
 * that become free while others run would be taken out of order. A new sequence starts from the longest prefix that a kept or a
 * running one holds.
 */
export class PrefixCache {
  readonly #options: PrefixCacheOptions;
  readonly #cells: Cells;
  readonly #freeSlots: number[];
  readonly #swapped: SwappedSequences;
  /** Least recently used first. */
  #kept: Kept[] = [];

  constructor(options: PrefixCacheOptions) {
    this.#options = options;
    this.#cells = new Cells(options.cells);
    this.#swapped = new SwappedSequences({ tokens: options.swapTokens, sequences: limits.maxSwappedSequences });
    this.#freeSlots = Array.from({ length: options.slots }, (_, index) => options.slots - 1 - index);
  }

  /** Cells that nothing holds, not even a kept sequence. */
  get freeCells(): number {
    return this.#cells.free;
  }

  get keptSequences(): number {
    return this.#kept.length + this.#swapped.count;
  }

  /**
   * Gives a sequence a slot and cells for all tokens that it may come to have.
   *
   * @param prompt of which all but the last token may come from the cache: that one's row gives the first token
   * @param length cells that it may need in all
   * @param running sequences that it may start from
   * @returns undefined when there is no room, however many kept sequences went
   */
  place(prompt: readonly number[], length: number, running: readonly PrefixSource[]): Placement | undefined {
    const most = this.#options.keeps ? prompt.length - 1 : 0;
    const live = longest(running, (source) => commonPrefix(source.tokens, prompt, Math.min(most, source.confirmed)));
    const kept = longest(this.#kept, (source) => commonPrefix(source.tokens, prompt, most));
    const liveTokens = live?.tokens ?? 0;
    const reclaimable = this.#cells.heldByNoneBut(this.#kept.map(({ slot }) => slot));
    if (length - liveTokens > this.#cells.free + reclaimable) return undefined;
    if (this.#freeSlots.length === 0 && this.#kept.length === 0) return undefined;
    // Beside others what is free would be taken out of order.
    const swapsOut = this.#options.swapTokens > 0 && running.length === 0;
    const swapped = this.#swapped.longest(prompt, most, Infinity)?.tokens ?? 0;
    const keptTokens = kept?.tokens ?? 0;
    const isKeptBest = kept !== undefined && keptTokens > liveTokens && keptTokens >= swapped;
    // What the sequence goes on from stays where it is. Of one that it turns off from, cells would be left that nobody needs.
    const turnsOff =
      kept !== undefined && keptTokens < kept.source.tokens.length && this.#swapped.fits(kept.source.tokens);
    const source = isKeptBest && !(swapsOut && turnsOff) ? kept.source : undefined;
    const operations = swapsOut ? this.#swapOutAllBut(source) : [];
    const placement =
      source === undefined
        ? (this.#startFromSwapped(prompt, liveTokens, length) ??
          this.#startFromRunning(live?.source, liveTokens, length))
        : this.#startFromKept(source, keptTokens, length);
    return { ...placement, operations: [...operations, ...placement.operations] };
  }

  /** Tokens of a prompt that some kept sequence holds, for one that may come to have so many. */
  longestKept(prompt: readonly number[], length: number): number {
    const kept = longest(this.#kept, ({ tokens }) => commonPrefix(tokens, prompt, prompt.length - 1));
    return Math.max(kept?.tokens ?? 0, this.#longestSwapped(prompt, length)?.tokens ?? 0);
  }

  /** A sequence is over. Its first `confirmed` tokens are kept, the rest is freed; with 0, all. */
  release(slot: number, tokens: readonly number[], confirmed: number): readonly SlotOperation[] {
    const keptTokens = this.#options.keeps ? Math.min(confirmed, tokens.length) : 0;
    this.#cells.truncate(slot, keptTokens);
    if (keptTokens === 0) this.#freeSlots.push(slot);
    else this.#kept.push({ slot, tokens: tokens.slice(0, keptTokens) });
    return [{ type: 'remove', sequence: slot, from: keptTokens }];
  }

  /** Forgets what is in main memory: some stage may not have it. */
  forgetSwapped(): readonly SlotOperation[] {
    return this.#swapped.clear();
  }

  #swapOutAllBut(source: Kept | undefined): readonly SlotOperation[] {
    return this.#kept.filter((kept) => kept !== source).flatMap((kept) => this.#letGo(kept));
  }

  #longestSwapped(prompt: readonly number[], length: number) {
    const { free } = this.#cells;
    if (this.#freeSlots.length === 0 || length > free) return undefined;
    return this.#swapped.longest(prompt, prompt.length - 1, free);
  }

  /** Leaves the swapped sequence where it is, until one that begins like it is swapped out in its turn. */
  #startFromSwapped(prompt: readonly number[], otherTokens: number, length: number): Placement | undefined {
    const longest = this.#longestSwapped(prompt, length);
    if (longest === undefined || longest.tokens <= otherTokens) return undefined;
    const { source, tokens } = longest;
    this.#swapped.use(source);
    const slot = invariant(this.#freeSlots.pop(), 'a slot is free where a sequence is placed');
    this.#cells.extend(slot, length);
    const { place } = source;
    return { slot, cachedTokens: tokens, operations: [{ type: 'swap-in', place, sequence: slot, before: tokens }] };
  }

  #startFromKept(source: Kept, cachedTokens: number, length: number): Placement {
    // Others go before the source does, which is as good as used now.
    this.#kept = [...this.#kept.filter((kept) => kept !== source), source];
    const turnsOff = cachedTokens < source.tokens.length;
    return (
      (turnsOff ? this.#copyKept(source, cachedTokens, length) : undefined) ??
      this.#takeOver(source, cachedTokens, length)
    );
  }

  /** Leaves the kept sequence as it is; undefined when there is no room for both, even with all others gone. */
  #copyKept(source: Kept, cachedTokens: number, length: number): Placement | undefined {
    const needed = length - cachedTokens;
    const others = this.#kept.filter((kept) => kept !== source);
    const reclaimable = this.#cells.heldByNoneBut(others.map(({ slot }) => slot));
    if (needed > this.#cells.free + reclaimable) return undefined;
    if (this.#freeSlots.length === 0 && others.length === 0) return undefined;
    const operations: SlotOperation[] = [];
    while (this.#freeSlots.length === 0 || needed > this.#cells.free) operations.push(...this.#evict());
    const slot = invariant(this.#freeSlots.pop(), 'a slot is free where a sequence is placed');
    this.#cells.share(source.slot, slot, cachedTokens);
    this.#cells.extend(slot, length);
    operations.push({ type: 'copy', sequence: source.slot, to: slot, before: cachedTokens });
    return { slot, cachedTokens, operations };
  }

  #takeOver(source: Kept, cachedTokens: number, length: number): Placement {
    this.#kept = this.#kept.filter((kept) => kept !== source);
    this.#cells.truncate(source.slot, cachedTokens);
    const operations: SlotOperation[] = [{ type: 'remove', sequence: source.slot, from: cachedTokens }];
    while (length - cachedTokens > this.#cells.free) operations.push(...this.#evict());
    this.#cells.extend(source.slot, length);
    return { slot: source.slot, cachedTokens, operations };
  }

  #startFromRunning(source: PrefixSource | undefined, cachedTokens: number, length: number): Placement {
    const operations: SlotOperation[] = [];
    while (this.#freeSlots.length === 0 || length - cachedTokens > this.#cells.free) operations.push(...this.#evict());
    const slot = invariant(this.#freeSlots.pop(), 'a slot is free where a sequence is placed');
    if (source !== undefined && cachedTokens > 0) {
      this.#cells.share(source.slot, slot, cachedTokens);
      operations.push({ type: 'copy', sequence: source.slot, to: slot, before: cachedTokens });
    }
    this.#cells.extend(slot, length);
    return { slot, cachedTokens, operations };
  }

  #evict(): readonly SlotOperation[] {
    const [oldest] = this.#kept;
    if (oldest === undefined) throw new RangeError('nothing is left to evict');
    return this.#letGo(oldest);
  }

  /** Frees the slot and the cells of a kept sequence, which goes to main memory where there is room for it. */
  #letGo(kept: Kept): readonly SlotOperation[] {
    const { slot, tokens } = kept;
    this.#kept = this.#kept.filter((one) => one !== kept);
    this.#cells.truncate(slot, 0);
    this.#freeSlots.push(slot);
    const { place, discards } = this.#swapped.add(tokens);
    if (place === undefined) return [...discards, { type: 'remove', sequence: slot, from: 0 }];
    return [...discards, { type: 'swap-out', sequence: slot, place }];
  }
}

function longest<Source>(
  sources: readonly Source[],
  measure: (source: Source) => number,
): { source: Source; tokens: number } | undefined {
  let best: { source: Source; tokens: number } | undefined;
  for (const source of sources) {
    const tokens = measure(source);
    if (tokens > (best?.tokens ?? 0)) best = { source, tokens };
  }
  return best;
}
