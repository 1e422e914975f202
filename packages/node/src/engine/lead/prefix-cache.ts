import { Cells } from './cells.ts';
import { commonPrefix } from './common-prefix.ts';
import { Keeping, type KeepingOptions } from './keeping.ts';

export interface PrefixCacheOptions extends KeepingOptions {
  /** Sequences that the stages tell apart: running ones and kept ones. */
  readonly slots: number;
  /** KV cells, shared by all slots. */
  readonly cells: number;
  /** Keep finished sequences for those that start alike. False where the model's memory can't be cut back. */
  readonly keeps: boolean;
}

/** A running sequence that others may start from. */
export interface PrefixSource {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** How many of its tokens are in every stage's cache for certain. */
  readonly confirmed: number;
}

/** A change that all stages have to make to their caches. */
export type SlotOperation =
  | { readonly type: 'remove'; readonly sequence: number; readonly from: number }
  | { readonly type: 'copy'; readonly sequence: number; readonly to: number; readonly before: number };

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
  /** By {@link Keeping.now}. */
  readonly usedAt: number;
}

/**
 * Who holds which slot and which cells of the KV cache. Finished sequences are kept until their room is needed, least
 * recently used first to go, or until they have cost what they may save ({@link Keeping}); a new sequence starts from the
 * longest prefix that a kept or a running one holds.
 */
export class PrefixCache {
  readonly #options: PrefixCacheOptions;
  readonly #cells: Cells;
  readonly #freeSlots: number[];
  readonly #keeping: Keeping;
  /** Least recently used first. */
  #kept: Kept[] = [];

  constructor(options: PrefixCacheOptions) {
    this.#options = options;
    this.#cells = new Cells(options.cells);
    this.#keeping = new Keeping(options);
    this.#freeSlots = Array.from({ length: options.slots }, (_, index) => options.slots - 1 - index);
  }

  /** Cells that nothing holds, not even a kept sequence. */
  get freeCells(): number {
    return this.#cells.free;
  }

  get keptSequences(): number {
    return this.#kept.length;
  }

  /** Rows have been computed beside what is kept. */
  pass(rows: number): void {
    this.#keeping.pass(rows);
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
    this.#keeping.learn(prompt, kept?.tokens ?? 0);
    const overdue = this.#letGoOverdue(kept?.source, length - Math.max(liveTokens, kept?.tokens ?? 0));
    const placement =
      kept !== undefined && kept.tokens > liveTokens
        ? this.#startFromKept(kept.source, kept.tokens, length)
        : this.#startFromRunning(live?.source, liveTokens, length);
    return { ...placement, operations: [...overdue, ...placement.operations] };
  }

  /** Tokens of a prompt that some kept sequence holds. */
  longestKept(prompt: readonly number[]): number {
    return longest(this.#kept, ({ tokens }) => commonPrefix(tokens, prompt, prompt.length - 1))?.tokens ?? 0;
  }

  /** A sequence is over. Its first `confirmed` tokens are kept, the rest is freed; with 0, all. */
  release(slot: number, tokens: readonly number[], confirmed: number): readonly SlotOperation[] {
    const keptTokens = this.#options.keeps ? Math.min(confirmed, tokens.length) : 0;
    this.#cells.truncate(slot, keptTokens);
    if (keptTokens === 0) this.#freeSlots.push(slot);
    else this.#kept.push({ slot, tokens: tokens.slice(0, keptTokens), usedAt: this.#keeping.now });
    return [{ type: 'remove', sequence: slot, from: keptTokens }];
  }

  #startFromKept(found: Kept, cachedTokens: number, length: number): Placement {
    // Others go before the source does, which is as good as used now.
    const source = { ...found, usedAt: this.#keeping.now };
    this.#kept = [...this.#kept.filter((kept) => kept !== found), source];
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
    while (this.#freeSlots.length === 0 || needed > this.#cells.free) operations.push(this.#evict());
    const slot = this.#freeSlots.pop() ?? 0;
    this.#cells.share(source.slot, slot, cachedTokens);
    this.#cells.extend(slot, length);
    operations.push({ type: 'copy', sequence: source.slot, to: slot, before: cachedTokens });
    return { slot, cachedTokens, operations };
  }

  #takeOver(source: Kept, cachedTokens: number, length: number): Placement {
    this.#kept = this.#kept.filter((kept) => kept !== source);
    this.#cells.truncate(source.slot, cachedTokens);
    const operations: SlotOperation[] = [{ type: 'remove', sequence: source.slot, from: cachedTokens }];
    while (length - cachedTokens > this.#cells.free) operations.push(this.#evict());
    this.#cells.extend(source.slot, length);
    return { slot: source.slot, cachedTokens, operations };
  }

  #startFromRunning(source: PrefixSource | undefined, cachedTokens: number, length: number): Placement {
    const operations: SlotOperation[] = [];
    while (this.#freeSlots.length === 0 || length - cachedTokens > this.#cells.free) operations.push(this.#evict());
    const slot = this.#freeSlots.pop() ?? 0;
    if (source !== undefined && cachedTokens > 0) {
      this.#cells.share(source.slot, slot, cachedTokens);
      operations.push({ type: 'copy', sequence: source.slot, to: slot, before: cachedTokens });
    }
    this.#cells.extend(slot, length);
    return { slot, cachedTokens, operations };
  }

  /**
   * Only where a sequence begins, which then takes the cells: attention passes over free ones, too, up to the last that is
   * in use. So what is kept now will have been passed over by all of the new sequence's rows.
   */
  #letGoOverdue(source: Kept | undefined, rowsAhead: number): SlotOperation[] {
    const overdue = this.#kept.filter((kept) => kept !== source && this.#keeping.isOverdue(kept.usedAt, rowsAhead));
    return overdue.map((kept) => this.#letGo(kept));
  }

  #evict(): SlotOperation {
    const [oldest] = this.#kept;
    if (oldest === undefined) throw new RangeError('nothing is left to evict');
    return this.#letGo(oldest);
  }

  #letGo(evicted: Kept): SlotOperation {
    this.#kept = this.#kept.filter((kept) => kept !== evicted);
    this.#keeping.forget(evicted.tokens);
    this.#cells.truncate(evicted.slot, 0);
    this.#freeSlots.push(evicted.slot);
    return { type: 'remove', sequence: evicted.slot, from: 0 };
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
