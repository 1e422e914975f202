import { invariant } from '@skein/protocol';

/** The part of a model's tokenizer that finds texts in tokens. */
export interface TokenTexts {
  /** Returns the bytes of a token's text, also of special tokens. */
  piece(token: number): Uint8Array;
  encode(text: string): readonly number[];
}

/** Most tokens of a breaker after the one in which it begins. */
const mostTailTokens = 20;

interface Breaker {
  readonly bytes: Buffer;
  /** Tokens of a breaker's rest, by the number of its bytes in the token in which it begins. */
  readonly tails: Map<number, readonly number[] | undefined>;
}

/**
 * A search for the last breaker in a growing list of tokens: one of some texts, in one token or across several.
 *
 * It looks at tokens as they appear, and at each once. llama.cpp looks for each breaker in its whole vocabulary when a
 * sampler is made, which takes from 0.1 s to a minute, and everything else in the process waits meanwhile.
 */
export class Restarts {
  readonly #texts: TokenTexts;
  readonly #breakers: readonly Breaker[];
  /** Tokens that may follow a token in which a breaker begins: none, where the token has all of it. */
  readonly #tails = new Map<number, readonly (readonly number[])[]>();
  #last: { readonly position: number; readonly tailTokens: number } | undefined;
  #scanned = 0;

  constructor(texts: TokenTexts, breakers: readonly string[]) {
    this.#texts = texts;
    this.#breakers = breakers.map((breaker) => ({ bytes: Buffer.from(breaker), tails: new Map() }));
  }

  /** Tells whether a token contains a whole breaker. */
  isBreaker(token: number): boolean {
    return this.#tailsOf(token).some((tail) => tail.length === 0);
  }

  /**
   * Returns how many tokens there are after the last breaker, or all from `from` on where there is none.
   *
   * @param tokens those of the call before, and more
   * @param from first token that counts; not before that of an earlier call
   */
  tokensSince(tokens: readonly number[], from: number): number {
    // Positions further back than the longest tail keep the tail that was found.
    const first = Math.max(from, this.#scanned - mostTailTokens);
    for (let position = tokens.length - 1; position >= first; position -= 1) {
      const tailTokens = this.#longestTail(tokens, position);
      if (tailTokens === undefined) continue;
      this.#last = { position, tailTokens };
      break;
    }
    this.#scanned = tokens.length;
    if (this.#last === undefined || this.#last.position < from) return tokens.length - from;
    return tokens.length - 1 - this.#last.position - this.#last.tailTokens;
  }

  #longestTail(tokens: readonly number[], position: number): number | undefined {
    const matching = this.#tailsOf(invariant(tokens[position], 'a position among the tokens')).filter(
      (tail) =>
        position + tail.length < tokens.length && tail.every((token, index) => tokens[position + 1 + index] === token),
    );
    return matching.length === 0 ? undefined : Math.max(...matching.map((tail) => tail.length));
  }

  #tailsOf(token: number): readonly (readonly number[])[] {
    const known = this.#tails.get(token);
    if (known !== undefined) return known;
    const text = Buffer.from(this.#texts.piece(token));
    const tails = this.#breakers.flatMap((breaker) => this.#tailsAfter(text, breaker));
    this.#tails.set(token, tails);
    return tails;
  }

  #tailsAfter(text: Buffer, breaker: Breaker): readonly (readonly number[])[] {
    if (text.includes(breaker.bytes)) return [[]];
    const tails: (readonly number[])[] = [];
    const last = text.at(-1);
    for (let bytes = Math.min(text.length, breaker.bytes.length - 1); bytes > 0; bytes -= 1) {
      if (breaker.bytes[bytes - 1] !== last) continue;
      if (!text.subarray(text.length - bytes).equals(breaker.bytes.subarray(0, bytes))) continue;
      const tail = this.#tailOf(breaker, bytes);
      if (tail !== undefined) tails.push(tail);
    }
    return tails;
  }

  /**
   * Returns the tokens of a breaker's rest; undefined where the cut is inside a character, since no tokenizer encodes
   * the rest of one.
   */
  #tailOf({ bytes, tails }: Breaker, start: number): readonly number[] | undefined {
    if (!tails.has(start)) {
      const isInside = (invariant(bytes[start], 'a tail is not empty') & 0xc0) === 0x80;
      const tail = isInside ? undefined : this.#texts.encode(bytes.subarray(start).toString()).slice(0, mostTailTokens);
      tails.set(start, tail);
    }
    return tails.get(start);
  }
}
