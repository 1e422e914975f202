import { invariant } from '@skein/protocol';

/**
 * An exact account of KV cells and their holders. Sequences that share a prefix share its cells, which become free when
 * the last of them releases them. Numbered as llama.cpp's unified cache numbers them, which gives out the lowest free
 * cell.
 */
export class Cells {
  readonly #capacity: number;
  /** Number of slots that hold each cell. */
  readonly #holders: Uint32Array;
  /** Cells of each slot in order of position. */
  readonly #held = new Map<number, number[]>();
  #free: number;
  /** Number below which no cell is free. */
  #full = 0;

  /** @param capacity cells of the cache: tokens that it can hold */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#holders = new Uint32Array(capacity);
    this.#free = capacity;
  }

  get free(): number {
    return this.#free;
  }

  /** Returns how many cells a slot holds. */
  count(slot: number): number {
    return this.#held.get(slot)?.length ?? 0;
  }

  /** Counts the cells that would become free if these slots released theirs. */
  heldByNoneBut(slots: Iterable<number>): number {
    const counts = new Map<number, number>();
    let cells = 0;
    for (const slot of slots) {
      for (const cell of this.#held.get(slot) ?? []) {
        const count = (counts.get(cell) ?? 0) + 1;
        counts.set(cell, count);
        if (count === this.#holders[cell]) cells += 1;
      }
    }
    return cells;
  }

  /** Gives a slot cells of its own behind those that it has, up to `length` in all. They have to be free. */
  extend(slot: number, length: number): void {
    const held = this.#holding(slot);
    if (length - held.length > this.#free) throw new RangeError('more cells taken than are free');
    while (held.length < length) {
      const cell = this.#lowestFree();
      this.#holders[cell] = 1;
      held.push(cell);
      this.#free -= 1;
    }
  }

  /** Makes `to`, which holds none, hold the first `before` cells of `from`. */
  share(from: number, to: number, before: number): void {
    const shared = (this.#held.get(from) ?? []).slice(0, before);
    for (const cell of shared) this.#holders[cell] = this.#holdersOf(cell) + 1;
    this.#holding(to).push(...shared);
  }

  /** Takes from a slot all cells from position `from` on. */
  truncate(slot: number, from: number): void {
    const held = this.#held.get(slot);
    if (held === undefined) return;
    for (const cell of held.splice(from)) this.#release(cell);
  }

  /**
   * Returns how many of a slot's first cells lie in order before all free ones. The others have to be moved, since its
   * next cell would lie before them and attention would add up in another order.
   */
  countInOrder(slot: number): number {
    const held = this.#held.get(slot);
    const last = held?.at(-1);
    if (held === undefined || last === undefined) return 0;
    const free = this.#free === 0 ? this.#capacity : this.#lowestFree();
    if (last < free) return held.length;
    return held.findIndex((cell) => cell > free);
  }

  /** Returns how many of a slot's cells from a position on belong to another slot, too. */
  countShared(slot: number, from: number): number {
    return (this.#held.get(slot) ?? []).slice(from).filter((cell) => this.#holdersOf(cell) > 1).length;
  }

  /**
   * Exchanges some of a slot's cells for the lowest that are free once it has released them. Those that it shares stay
   * with the others, and so many more have to be free.
   */
  move(slot: number, from: number, before: number): void {
    const held = invariant(this.#held.get(slot), 'a slot of which cells are moved holds some');
    for (const cell of held.slice(from, before)) this.#release(cell);
    for (let index = from; index < before; index += 1) {
      const cell = this.#lowestFree();
      this.#holders[cell] = 1;
      this.#free -= 1;
      held[index] = cell;
    }
  }

  /** Takes a cell from one of its holders. */
  #release(cell: number): void {
    const holders = this.#holdersOf(cell) - 1;
    this.#holders[cell] = holders;
    if (holders > 0) return;
    this.#full = Math.min(this.#full, cell);
    this.#free += 1;
  }

  #lowestFree(): number {
    while (this.#full < this.#capacity && this.#holders[this.#full] !== 0) this.#full += 1;
    return this.#full;
  }

  #holding(slot: number): number[] {
    const held = this.#held.get(slot) ?? [];
    if (held.length === 0) this.#held.set(slot, held);
    return held;
  }

  #holdersOf(cell: number): number {
    return invariant(this.#holders[cell], 'a cell that is held has holders');
  }
}
