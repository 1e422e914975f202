/** Whatever remembers, and can do without. */
export interface Remembering {
  /** Lets go of all that is remembered. */
  forget(): void;
}

/** Words of eight bytes. It bounds what grammars remember, not the heap: one fed nothing but hostile grammars peaked at 184 to 250 MB. */
const defaultMostWords = 1_500_000;

/**
 * Bounds what all grammars of a process remember together: past it, all start anew. Bounds of their own would add up, with
 * dozens of sequences that each have another grammar.
 */
export class MatchMemory {
  readonly #mostWords: number;
  readonly #holders = new Set<Remembering>();
  #words = 0;

  constructor(mostWords = defaultMostWords) {
    this.#mostWords = mostWords;
  }

  /** Notes what a grammar is about to remember. It may have to forget all before that. */
  note(holder: Remembering, words: number): void {
    this.#words += words;
    if (this.#words > this.#mostWords) {
      for (const one of this.#holders) one.forget();
      this.#holders.clear();
      this.#words = words;
    }
    this.#holders.add(holder);
  }
}
