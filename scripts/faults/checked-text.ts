/** What is wrong with a text, and where, in characters. */
export interface TextFault {
  /** `duplicated`: what was said before comes again. `missing`: a piece was left out. `garbled`: neither. */
  readonly kind: 'duplicated' | 'missing' | 'garbled';
  readonly at: number;
}

/** Shorter pieces are found in a text by chance. */
const leastPiece = 12;

/** Compares a text with what it should be, piece by piece as it comes. */
export class CheckedText {
  readonly #expected: string;
  #text = '';
  /** Where the first wrong character is. */
  #wrongAt: number | undefined;

  constructor(expected: string) {
    this.#expected = expected;
  }

  /** Characters that came so far. */
  get length(): number {
    return this.#text.length;
  }

  /** Whether all of it came, and nothing else. */
  get isWhole(): boolean {
    return this.#text === this.#expected;
  }

  add(piece: string): void {
    for (let index = 0; index < piece.length && this.#wrongAt === undefined; index += 1) {
      const at = this.#text.length + index;
      if (piece[index] !== this.#expected[at]) this.#wrongAt = at;
    }
    this.#text += piece;
  }

  /** What is wrong with what came; undefined for a beginning of what was expected. */
  get fault(): TextFault | undefined {
    const at = this.#wrongAt;
    if (at === undefined) return undefined;
    const piece = this.#text.slice(at, at + leastPiece);
    const found = piece.length < leastPiece ? -1 : this.#expected.indexOf(piece);
    if (found === -1) return { kind: 'garbled', at };
    return { kind: found < at ? 'duplicated' : 'missing', at };
  }
}
