/** The blocks that a replica holds, those used longest ago first to go. */
export class BlockCache {
  readonly #blocks = new Set<number>();
  readonly #capacity: number;
  readonly #onChange: (added: readonly number[], removed: readonly number[]) => void;

  constructor(capacity: number, onChange: (added: readonly number[], removed: readonly number[]) => void) {
    this.#capacity = capacity;
    this.#onChange = onChange;
  }

  /** Returns how many of the first blocks it holds. */
  held(blocks: readonly number[]): number {
    const missing = blocks.findIndex((block) => !this.#blocks.has(block));
    return missing === -1 ? blocks.length : missing;
  }

  /** Takes the blocks of a prompt, as the ones used last. Later blocks go before earlier ones. */
  use(blocks: readonly number[]): void {
    const added: number[] = [];
    const removed: number[] = [];
    for (const block of blocks.toReversed()) {
      if (!this.#blocks.delete(block)) added.push(block);
      this.#blocks.add(block);
    }
    for (const block of this.#blocks) {
      if (this.#blocks.size <= this.#capacity) break;
      this.#blocks.delete(block);
      removed.push(block);
    }
    if (added.length + removed.length > 0) this.#onChange(added, removed);
  }
}
