/** A cache whose contents can be forgotten at any time. */
export interface Remembering {
  /** Forgets all its contents. */
  forget(): void;
}

/**
 * Most words of eight bytes, by default. They bound the memory of grammars, not the heap: one fed nothing but hostile
 * grammars peaked at 184 to 250 MB.
 */
const defaultMostWords = 1_500_000;

/**
 * A common bound on the memory of all grammars of a process: past it, all start anew. Bounds of their own would add up,
 * with dozens of sequences that each have another grammar.
 */
export class MatchMemory {
  readonly #mostWords: number;
  readonly #holders = new Set<Remembering>();
  #words = 0;

  constructor(mostWords = defaultMostWords) {
    this.#mostWords = mostWords;
  }

  /** Notes words that a grammar is about to remember. Past the bound, makes all grammars forget first. */
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
