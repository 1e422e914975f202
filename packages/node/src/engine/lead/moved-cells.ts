import type { CacheOperation } from '@skein/protocol';

/**
 * The cells that the operations of one step move through main memory, and all that later operations make of them. When
 * the step fails, as for want of memory, some stage may lack them: whoever has some then has lost them.
 */
export class MovedCells {
  readonly #slots = new Set<number>();
  /** Places in main memory. */
  readonly #places = new Set<number>();

  /** @param operations those of the step */
  constructor(operations: readonly CacheOperation[]) {
    for (const operation of operations) {
      this.#follow(operation);
      if (operation.type === 'swap-out') this.#places.add(operation.place);
      else if (operation.type === 'swap-in') this.#slots.add(operation.sequence);
    }
  }

  /** Whether nothing has such cells any more. */
  get isEmpty(): boolean {
    return this.#slots.size + this.#places.size === 0;
  }

  /** Takes the operations of a later step. */
  follow(operations: readonly CacheOperation[]): void {
    for (const operation of operations) this.#follow(operation);
  }

  /**
   * Returns the slots that have such cells.
   *
   * @param unsent operations that were decided and not sent yet
   */
  slotsAfter(unsent: readonly CacheOperation[]): ReadonlySet<number> {
    this.follow(unsent);
    return this.#slots;
  }

  #follow(operation: CacheOperation): void {
    switch (operation.type) {
      case 'swap-out': {
        const { sequence, place, from = 0, before } = operation;
        if (this.#slots.has(sequence)) this.#places.add(place);
        if (from === 0 && before === undefined) this.#slots.delete(sequence);
        break;
      }
      case 'swap-in':
        if (this.#places.has(operation.place)) this.#slots.add(operation.sequence);
        break;
      case 'swap-discard':
        this.#places.delete(operation.place);
        break;
      case 'copy':
        if (this.#slots.has(operation.sequence)) this.#slots.add(operation.to);
        break;
      case 'remove':
        if (operation.from === 0) this.#slots.delete(operation.sequence);
        break;
      case 'sample-with':
    }
  }
}
