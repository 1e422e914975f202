/** A fault of a text, and its place in characters. */
export interface TextFault {
  /** `duplicated`: an earlier piece comes again. `missing`: a piece was left out. `garbled`: neither. */
  readonly kind: 'duplicated' | 'missing' | 'garbled';
  readonly at: number;
}

/** Least characters of a piece: shorter ones are found in a text by chance. */
const leastPiece = 12;

/** A comparison of a text with the expected one, piece by piece as it comes. */
export class CheckedText {
  readonly #expected: string;
  #text = '';
  /** Place of the first wrong character. */
  #wrongAt: number | undefined;

  constructor(expected: string) {
    this.#expected = expected;
  }

  /** Characters that came so far. */
  get length(): number {
    return this.#text.length;
  }

  /** Tells whether all of it came, and nothing else. */
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

  /** The fault of the text so far; undefined for a beginning of the expected text. */
  get fault(): TextFault | undefined {
    const at = this.#wrongAt;
    if (at === undefined) return undefined;
    const piece = this.#text.slice(at, at + leastPiece);
    const found = piece.length < leastPiece ? -1 : this.#expected.indexOf(piece);
    if (found === -1) return { kind: 'garbled', at };
    return { kind: found < at ? 'duplicated' : 'missing', at };
  }
}
