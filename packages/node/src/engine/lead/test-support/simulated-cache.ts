import type { CacheOperation } from '@skein/protocol';

export interface SimulatedCacheOptions {
  /** Cells of the cache. */
  readonly contextTokens: number;
  /** Tokens that the swap space holds. */
  readonly swapTokens: number;
  /**
   * Sequences for which to throw when they get a cell before those that they have, since attention would add up otherwise
   * then: those that share no cells, or all. Default: none.
   */
  readonly checksOrder?: 'own' | 'all';
}

interface Cell {
  readonly number: number;
  readonly token: number;
}

interface Swapped {
  readonly from: number;
  readonly tokens: readonly number[];
  /** Cells behind a part that is swapped out. */
  readonly rest: readonly Cell[];
}

/**
 * The cache and the swap space of a stage as lists of cells, which get numbers as in llama.cpp. It throws where a real
 * one would have been wrong: a hole, too many cells, a full swap space, a place taken twice.
 */
export class SimulatedCache {
  readonly #options: SimulatedCacheOptions;
  readonly #slots = new Map<number, Cell[]>();
  readonly #swapped = new Map<number, Swapped>();
  readonly #isUsed: Uint8Array;
  /** Number below which no cell is free. */
  #full = 0;

  constructor(options: SimulatedCacheOptions) {
    this.#options = options;
    this.#isUsed = new Uint8Array(options.contextTokens);
  }

  tokensOf(sequence: number): number[] {
    return this.#cellsOf(sequence).map(({ token }) => token);
  }

  /** Computes rows of a sequence, from a position on. */
  compute(sequence: number, position: number, tokens: readonly number[]): void {
    const { length } = this.#cellsOf(sequence);
    if (length !== position) throw new Error(`rows at ${position} of ${length} cells`);
    for (const token of tokens) this.#take(sequence, token);
  }

  apply(operation: Exclude<CacheOperation, { type: 'sample-with' }>): void {
    switch (operation.type) {
      case 'swap-out':
        this.#swapOut(operation);
        break;
      case 'swap-in':
        this.#swapIn(operation);
        break;
      case 'swap-discard':
        this.#swapped.delete(operation.place);
        break;
      case 'remove':
        this.#slots.set(operation.sequence, this.#cellsOf(operation.sequence).slice(0, operation.from));
        break;
      case 'copy': {
        const cells = this.#cellsOf(operation.sequence);
        // On a stage that has lost some with a failed step there may be fewer; a later row would find the hole.
        if (this.#cellsOf(operation.to).length > 0) throw new Error('a slot is shared into that is not empty');
        this.#slots.set(operation.to, cells.slice(0, operation.before));
      }
    }
    this.#findUsed();
  }

  /** Loses what is in a place of the swap space, as for want of memory. */
  lose(place: number): void {
    this.#swapped.set(place, { from: 0, tokens: [], rest: [] });
    this.#findUsed();
  }

  #swapOut({ sequence, place, from = 0, before = Infinity }: Extract<CacheOperation, { type: 'swap-out' }>): void {
    if (this.#swapped.has(place)) throw new Error('a place of the swap space is taken twice');
    const cells = this.#cellsOf(sequence);
    const tokens = this.tokensOf(sequence).slice(from, before);
    // Nothing is there on a stage that has lost it with a failed step; a later row would find the hole.
    if (tokens.length === 0) {
      this.#swapped.set(place, { from, tokens, rest: [] });
      return;
    }
    this.#swapped.set(place, { from, tokens, rest: cells.slice(before) });
    if ([...this.#swapped.values()].flatMap((swapped) => swapped.tokens).length > this.#options.swapTokens) {
      throw new Error('the swap space is too full');
    }
    this.#slots.set(sequence, cells.slice(0, from));
  }

  #swapIn({ place, sequence, before }: Extract<CacheOperation, { type: 'swap-in' }>): void {
    const swapped = this.#swapped.get(place);
    if (swapped === undefined) throw new Error('what is brought back is not there');
    const { from, tokens, rest } = swapped;
    if (tokens.length === 0) return;
    if (this.#cellsOf(sequence).length !== from) {
      throw new Error('a sequence is brought back where something is already');
    }
    for (const token of tokens) this.#take(sequence, token);
    this.#slots.set(sequence, [...this.#cellsOf(sequence).slice(0, before), ...rest]);
  }

  #findUsed(): void {
    this.#isUsed.fill(0);
    this.#full = 0;
    const held = [...this.#slots.values(), ...Array.from(this.#swapped.values(), ({ rest }) => rest)];
    for (const cells of held) for (const { number } of cells) this.#isUsed[number] = 1;
  }

  /** Gives a sequence the lowest cell that is free. */
  #take(sequence: number, token: number): void {
    while (this.#isUsed[this.#full] === 1) this.#full += 1;
    const number = this.#full;
    if (number >= this.#options.contextTokens) throw new Error('there are not enough cells');
    const cells = this.#cellsOf(sequence);
    const isOutOfOrder = number < (cells.at(-1)?.number ?? 0);
    const { checksOrder } = this.#options;
    if (isOutOfOrder && (checksOrder === 'all' || (checksOrder === 'own' && !this.#isShared(cells)))) {
      throw new Error(`cell ${number} comes before one of the same sequence`);
    }
    cells.push({ number, token });
    this.#isUsed[number] = 1;
    this.#slots.set(sequence, cells);
  }

  #isShared(cells: readonly Cell[]): boolean {
    return cells.some((cell) => [...this.#slots.values()].filter((held) => held.includes(cell)).length > 1);
  }

  #cellsOf(sequence: number): Cell[] {
    return this.#slots.get(sequence) ?? [];
  }
}
