import { limits, type CacheOperation } from '@skein/protocol';

import { Cells } from './cells.ts';
import { commonPrefix, negligibleTokens } from './common-prefix.ts';
import { Slots } from './slots.ts';
import { SwappedSequences, type HeldCopy } from './swapped-sequences.ts';

export interface PrefixCacheOptions {
  /** Number of sequences that the stages tell apart: running ones and kept ones. */
  readonly slots: number;
  /** Number of KV cells, shared by all slots. */
  readonly cells: number;
  /** Whether to keep finished sequences for those that start alike. False where the model's memory can't be cut back. */
  readonly keeps: boolean;
  /**
   * Tokens of sequences that are kept in main memory: of finished ones, which go there when a sequence begins and no
   * other one runs, or when their room is needed, and of preempted ones. With 0, finished ones stay in their cells,
   * where that costs nothing or where a sequence can't leave them, and preempted ones are computed anew.
   */
  readonly swapTokens: number;
}

/** A running sequence that others may start from. */
export interface PrefixSource {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** Number of its tokens that are in every stage's cache for certain. */
  readonly confirmed: number;
}

/** A change that all stages have to make to their caches. */
export type SlotOperation = Exclude<CacheOperation, { type: 'sample-with' }>;

export interface PlaceOptions {
  /** Cells that have to be left beside those for the tokens, for later rows of this and of running sequences. */
  readonly spare: number;
  /** Running sequences that it may start from. */
  readonly running: readonly PrefixSource[];
  /** Its copy in main memory, when it was preempted. */
  readonly copy?: HeldCopy | undefined;
  /** Id of its request, for {@link PrefixCache.takeGone}. Default: none, and nobody asks. */
  readonly owner?: string | undefined;
}

export interface Placement {
  readonly slot: number;
  /** Number of tokens that the slot holds already. */
  readonly cachedTokens: number;
  /** Operations to send in this order, before the sequence's first rows. */
  readonly operations: readonly SlotOperation[];
}

/** A running sequence. */
export interface Movable {
  readonly slot: number | undefined;
  readonly isLeaving: boolean;
}

interface Kept {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** Id of the request that computed it, if anybody asks. */
  readonly owner: string | undefined;
}

/**
 * The holders of slots and of cells of the KV cache. Finished sequences are kept until their room is needed, least
 * recently used first to go. With a swap space they leave their cells when a sequence begins and no other one runs. A
 * new sequence starts from the longest prefix that a kept or a running one holds.
 *
 * A sequence takes cells as its rows are sent ({@link grow}). Its next cell may lie before one that it has, since
 * others have released theirs; attention would add up in another order then and change last bits, so {@link settle}
 * moves it.
 */
export class PrefixCache {
  readonly #options: PrefixCacheOptions;
  readonly #cells: Cells;
  readonly #slots: Slots;
  readonly #swapped: SwappedSequences;
  /** Kept sequences, least recently used first. */
  #kept: Kept[] = [];
  /** Whether running sequences may have free cells before theirs. */
  #isLoose = false;
  /** Owners of slots in which sequences run. */
  readonly #owners = new Map<number, string | undefined>();
  #gone: string[] = [];

  constructor(options: PrefixCacheOptions) {
    this.#options = options;
    this.#cells = new Cells(options.cells);
    this.#swapped = new SwappedSequences({ tokens: options.swapTokens, sequences: limits.maxSwappedSequences });
    this.#slots = new Slots(options.slots);
  }

  /** Number of cells that nothing holds, not even a kept sequence. */
  get freeCells(): number {
    return this.#cells.free;
  }

  get keptSequences(): number {
    return this.#kept.length + this.#swapped.count;
  }

  /**
   * Gives a sequence a slot, and the cells that it need not compute.
   *
   * @param tokens of which all but the last may come from the cache: that one's row gives the next token
   * @returns undefined when there would be no room even without all kept sequences
   */
  place(tokens: readonly number[], options: PlaceOptions): Placement | undefined {
    const placement = this.#place(tokens, options);
    if (placement !== undefined) this.#owners.set(placement.slot, options.owner);
    return placement;
  }

  #place(tokens: readonly number[], { spare, running, copy }: PlaceOptions): Placement | undefined {
    const most = this.#options.keeps && copy === undefined ? tokens.length - 1 : 0;
    const live = longest(running, (source) => worthSharing(source.tokens, tokens, Math.min(most, source.confirmed)));
    const liveTokens = live?.tokens ?? 0;
    if (!this.#areAvailable(tokens.length + spare - liveTokens)) return undefined;
    if (this.#slots.free === 0 && this.#kept.length === 0) return undefined;
    if (copy !== undefined) return this.#bringBack(copy);
    const kept = longest(this.#kept, (source) => worthSharing(source.tokens, tokens, most));
    // Beside others what is free would be taken out of order.
    const swapsOut = this.#options.swapTokens > 0 && running.length === 0;
    const swapped = this.#swapped.longest(tokens, most, Infinity)?.tokens ?? 0;
    const keptTokens = kept?.tokens ?? 0;
    const isKeptBest = kept !== undefined && keptTokens > liveTokens && keptTokens >= swapped;
    // Cells that the sequence goes on from stay. Where it turns off from them earlier, the rest would be left, needed by nobody.
    const turnsOff =
      kept !== undefined && keptTokens < kept.source.tokens.length && this.#swapped.fits(kept.source.tokens.length);
    const source = isKeptBest && !(swapsOut && turnsOff) ? kept.source : undefined;
    const operations = swapsOut ? this.#swapOutAllBut(source) : [];
    const placement =
      source === undefined
        ? (this.#startFromSwapped(tokens, liveTokens) ?? this.#startFromRunning(live?.source, liveTokens))
        : this.#startFromKept(source, keptTokens);
    return { ...placement, operations: [...operations, ...placement.operations] };
  }

  /** Returns how many tokens of a prompt some kept sequence holds. */
  longestKept(prompt: readonly number[]): number {
    const kept = longest(this.#kept, ({ tokens }) => commonPrefix(tokens, prompt, prompt.length - 1));
    return Math.max(kept?.tokens ?? 0, this.#longestSwapped(prompt)?.tokens ?? 0);
  }

  /** Frees cells, as far as kept sequences hold some. */
  makeRoom(cells: number): readonly SlotOperation[] {
    const operations: SlotOperation[] = [];
    while (this.#cells.free < cells && this.#kept.length > 0) operations.push(...this.#evict());
    return operations;
  }

  /** Gives a slot the cells of rows that are about to be sent, up to `length` in all. They have to be free. */
  grow(slot: number, length: number): void {
    this.#cells.extend(slot, length);
  }

  /** Takes a running sequence's cells from a position on. */
  cutBack(slot: number, from: number): SlotOperation {
    this.#isLoose = true;
    this.#cells.truncate(slot, from);
    return { type: 'remove', sequence: slot, from };
  }

  /** Returns the owners of the sequences that were forgotten since it was asked last. */
  takeGone(): readonly string[] {
    const gone = [...this.#gone, ...this.#swapped.takeGone()];
    this.#gone = [];
    return gone;
  }

  /** Ends a running sequence. Keeps its first `confirmed` tokens and frees the rest; with 0, all. */
  release(slot: number, tokens: readonly number[], confirmed: number): readonly SlotOperation[] {
    const keptTokens = this.#options.keeps ? Math.min(confirmed, tokens.length) : 0;
    const owner = this.#owners.get(slot);
    this.#owners.delete(slot);
    // Rows under way of one that is cancelled lie before those that others sent after them.
    if (this.#cells.count(slot) > keptTokens) this.#isLoose = true;
    if (keptTokens === 0) {
      this.#giveUp(slot);
      this.#forget(owner);
    } else {
      this.#slots.keep(slot);
      this.#cells.truncate(slot, keptTokens);
      this.#kept.push({ slot, tokens: tokens.slice(0, keptTokens), owner });
    }
    return [{ type: 'remove', sequence: slot, from: keptTokens }];
  }

  /**
   * Takes slot and cells from a sequence that is to come back. All its rows have come back.
   *
   * @returns its copy in main memory, undefined where all has to be computed anew
   */
  preempt(slot: number): { readonly copy: HeldCopy | undefined; readonly operations: readonly SlotOperation[] } {
    const tokens = this.#cells.count(slot);
    const isWorthIt = tokens > negligibleTokens && this.#swapped.fitsToStay(tokens);
    const held = isWorthIt ? this.#swapped.hold(tokens) : undefined;
    this.#giveUp(slot);
    this.#isLoose = true;
    if (held === undefined) return { copy: undefined, operations: [{ type: 'remove', sequence: slot, from: 0 }] };
    const { copy, discards } = held;
    return { copy, operations: [...discards, { type: 'swap-out', sequence: slot, place: copy.place }] };
  }

  /** Forgets the copy of a preempted sequence that does not come back. */
  discard(copy: HeldCopy): SlotOperation {
    return this.#swapped.release(copy);
  }

  /** Forgets everything in main memory, including copies: some stage may not have it. */
  forgetSwapped(): readonly SlotOperation[] {
    return this.#swapped.clear();
  }

  /** Forgets kept sequences whose cells some stage may not have. */
  forgetKept(slots: ReadonlySet<number>): readonly SlotOperation[] {
    const lost = this.#kept.filter(({ slot }) => slots.has(slot));
    this.#kept = this.#kept.filter(({ slot }) => !slots.has(slot));
    return lost.map(({ slot, owner }) => {
      this.#isLoose = true;
      this.#giveUp(slot);
      this.#forget(owner);
      return { type: 'remove', sequence: slot, from: 0 };
    });
  }

  /**
   * Moves cells of running sequences that have free ones before them, through main memory to those, so that their next
   * cells lie behind all that they have. Looks for those only after somebody has let go of cells, or one began in cells
   * that lie there already. One that shares cells gets its own, where there is room for them.
   *
   * @param options.spare cells that have to be left
   */
  settle(running: readonly Movable[], { spare }: { readonly spare: number }): readonly SlotOperation[] {
    if (!this.#isLoose) return [];
    this.#isLoose = false;
    return running.flatMap(({ slot, isLeaving }) =>
      slot === undefined || isLeaving ? [] : this.#moveTogether(slot, spare),
    );
  }

  #moveTogether(slot: number, spare: number): readonly SlotOperation[] {
    const operations: SlotOperation[] = [];
    const end = this.#cells.count(slot);
    let from = this.#cells.countInOrder(slot);
    const shared = this.#cells.countShared(slot, from);
    // In parts, later ones would get cells before those of earlier ones, since shared cells do not become free.
    if (shared > 0 && (shared + spare > this.#cells.free || end - from > this.#swapped.movableTokens)) return [];
    while (from < end) {
      const before = Math.min(end, from + this.#swapped.movableTokens);
      const held = before > from ? this.#swapped.hold(before - from) : undefined;
      if (held === undefined) break;
      const { place } = held.copy;
      this.#cells.move(slot, from, before);
      operations.push(
        ...held.discards,
        { type: 'swap-out', sequence: slot, place, from, before },
        { type: 'swap-in', place, sequence: slot, before },
        this.#swapped.release(held.copy),
      );
      from = before;
    }
    return operations;
  }

  /** Returns the number of cells that are free, or would be without kept sequences. */
  #availableCells(): number {
    return this.#cells.free + this.#cells.heldByNoneBut(this.#kept.map(({ slot }) => slot));
  }

  /** Tells whether so many cells are available, which while a sequence waits is asked at each step. */
  #areAvailable(cells: number): boolean {
    const most = this.#kept.reduce((sum, { tokens }) => sum + tokens.length, this.#cells.free);
    return cells <= most && cells <= this.#availableCells();
  }

  #swapOutAllBut(source: Kept | undefined): readonly SlotOperation[] {
    return this.#kept.filter((kept) => kept !== source).flatMap((kept) => this.#evictOne(kept));
  }

  /** Finds the best sequence in main memory that there are cells for: all of it is brought back. */
  #longestSwapped(tokens: readonly number[]) {
    return this.#swapped.longest(tokens, tokens.length - 1, this.#availableCells());
  }

  /**
   * Starts from a sequence in main memory. Leaves that where it is, until one that begins like it is swapped out in its
   * turn.
   */
  #startFromSwapped(prompt: readonly number[], otherTokens: number): Placement | undefined {
    const longest = this.#options.keeps ? this.#longestSwapped(prompt) : undefined;
    if (longest === undefined || longest.tokens <= otherTokens) return undefined;
    const { source, tokens } = longest;
    const { place } = source;
    this.#swapped.use(source);
    const operations = [...this.makeRoom(source.tokens.length)];
    const slot = this.#takeSlot(operations);
    if (this.#swapped.has(source)) {
      this.#cells.extend(slot, tokens);
      operations.push({ type: 'swap-in', place, sequence: slot, before: tokens });
      return { slot, cachedTokens: tokens, operations };
    }
    // The sequence that made room for it has taken its place in main memory.
    return { slot, cachedTokens: 0, operations };
  }

  #bringBack(copy: HeldCopy): Placement {
    const { place, tokens } = copy;
    const operations = [...this.makeRoom(tokens)];
    const slot = this.#takeSlot(operations);
    this.#cells.extend(slot, tokens);
    operations.push({ type: 'swap-in', place, sequence: slot, before: tokens }, this.#swapped.release(copy));
    return { slot, cachedTokens: tokens, operations };
  }

  #startFromKept(source: Kept, cachedTokens: number): Placement {
    // Others go before the source does, which is as good as used now.
    this.#kept = [...this.#kept.filter((kept) => kept !== source), source];
    const turnsOff = cachedTokens < source.tokens.length;
    const isSlotToBeHad = this.#slots.free > 0 || this.#kept.length > 1;
    return turnsOff && isSlotToBeHad ? this.#copyKept(source, cachedTokens) : this.#takeOver(source, cachedTokens);
  }

  /** Copies a kept sequence, and leaves it as it is. */
  #copyKept(source: Kept, cachedTokens: number): Placement {
    const operations: SlotOperation[] = [];
    const slot = this.#takeSlot(operations);
    this.#isLoose = true;
    this.#cells.share(source.slot, slot, cachedTokens);
    operations.push({ type: 'copy', sequence: source.slot, to: slot, before: cachedTokens });
    return { slot, cachedTokens, operations };
  }

  #takeOver(source: Kept, cachedTokens: number): Placement {
    this.#slots.takeOver(source.slot);
    this.#forget(source.owner);
    this.#kept = this.#kept.filter((kept) => kept !== source);
    return { slot: source.slot, cachedTokens, operations: [this.cutBack(source.slot, cachedTokens)] };
  }

  #startFromRunning(source: PrefixSource | undefined, cachedTokens: number): Placement {
    const operations: SlotOperation[] = [];
    const slot = this.#takeSlot(operations);
    if (source !== undefined && cachedTokens > 0) {
      this.#isLoose = true;
      this.#cells.share(source.slot, slot, cachedTokens);
      operations.push({ type: 'copy', sequence: source.slot, to: slot, before: cachedTokens });
    }
    return { slot, cachedTokens, operations };
  }

  /** Takes a free slot, or that of a kept sequence. Adds the operations for that to `operations`. */
  #takeSlot(operations: SlotOperation[]): number {
    if (this.#slots.free === 0) operations.push(...this.#evict());
    return this.#slots.take();
  }

  #forget(owner: string | undefined): void {
    if (owner !== undefined) this.#gone.push(owner);
  }

  /** Empties a slot, so that its next holder finds nothing in it. */
  #giveUp(slot: number): void {
    this.#cells.truncate(slot, 0);
    this.#slots.giveUp(slot);
  }

  /** Evicts kept sequences, several at once where running sequences are moved each time. */
  #evict(): readonly SlotOperation[] {
    const count = this.#options.swapTokens > 0 ? Math.ceil(this.#kept.length / 2) : 1;
    this.#isLoose = true;
    return this.#kept.slice(0, count).flatMap((kept) => this.#evictOne(kept));
  }

  /** Frees the slot and the cells of a kept sequence, which goes to main memory where there is room for it. */
  #evictOne(kept: Kept): readonly SlotOperation[] {
    const { slot, tokens, owner } = kept;
    this.#kept = this.#kept.filter((one) => one !== kept);
    this.#giveUp(slot);
    const { place, discards } = this.#swapped.add(tokens, owner);
    if (place === undefined) return [...discards, { type: 'remove', sequence: slot, from: 0 }];
    return [...discards, { type: 'swap-out', sequence: slot, place }];
  }
}

/** Returns how many tokens two sequences have in common at their beginning, 0 where that saves nothing. */
function worthSharing(first: readonly number[], second: readonly number[], most: number): number {
  const common = commonPrefix(first, second, most);
  return common > negligibleTokens ? common : 0;
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
