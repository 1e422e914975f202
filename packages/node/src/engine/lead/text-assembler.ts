import { invariant } from '@skein/protocol';

/**
 * An assembler of the text that may be shown from the bytes of tokens. It holds back bytes of an unfinished character,
 * and text that may turn out to be the start of a stop string: shown text is never taken back.
 */
export class TextAssembler {
  /** Decoder that takes a byte order mark for a character like others: texts may begin with one. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #stops: readonly StopSearch[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    // Half a surrogate pair is in no text, but would be found inside a character.
    this.#stops = stops.filter((stop) => stop.isWellFormed()).map((stop) => new StopSearch(stop));
  }

  /** Whether a stop string has been met. Nothing is shown after that. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Adds a token's bytes. Returns the text that can be shown now. */
  push(bytes: Uint8Array): string {
    return this.#release(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * Returns the rest, when the generation has ended for another reason than a stop string.
   *
   * @param reason `length`: the text was cut, so an unfinished character is left out, and the text is a prefix of what
   * it would have become; `stop`: the model has ended it, and an unfinished character becomes U+FFFD
   */
  end(reason: 'stop' | 'length'): string {
    const text = reason === 'length' ? '' : this.#release(this.#decoder.decode());
    const rest = this.#stopped ? '' : this.#held;
    this.#held = '';
    return text + rest;
  }

  #release(more: string): string {
    if (this.#stopped) return '';
    const text = this.#held + more;
    const found = this.#stops.flatMap((stop) => stop.push(more) ?? []);
    if (found.length > 0) {
      this.#stopped = true;
      const shown = text.slice(0, this.#held.length + Math.min(...found));
      this.#held = '';
      return shown;
    }
    const keep = Math.max(0, ...this.#stops.map(({ matched }) => matched));
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }
}

/**
 * A search for a stop string in text that comes in pieces, by the algorithm of Knuth, Morris and Pratt. Its cost grows
 * with the text alone, whatever the two are: a lead searches all tokens of another lead at once.
 */
class StopSearch {
  readonly #stop: string;
  /** For each start of the stop string, by its length, the length of the longest shorter start that ends it. */
  readonly #borders: readonly number[];
  #matched = 0;

  /** @param stop at least one UTF-16 code unit */
  constructor(stop: string) {
    this.#stop = stop;
    const borders = [0, 0];
    this.#borders = borders;
    for (let length = 2; length <= stop.length; length += 1) {
      borders.push(this.#after(this.#borderOf(length - 1), stop.charCodeAt(length - 1)));
    }
  }

  /** Length of the longest end of the text that the stop string starts with, in UTF-16 code units. */
  get matched(): number {
    return this.#matched;
  }

  /**
   * Adds text. Returns where the first stop string in it begins, counted from the start of this text, so below 0 for one
   * that began earlier; undefined where there is none. Nothing may be added behind one.
   */
  push(more: string): number | undefined {
    for (let index = 0; index < more.length; index += 1) {
      this.#matched = this.#after(this.#matched, more.charCodeAt(index));
      if (this.#matched === this.#stop.length) return index + 1 - this.#stop.length;
    }
    return undefined;
  }

  /** Returns how much of the stop string is matched behind one more code unit. */
  #after(matched: number, unit: number): number {
    let length = matched;
    while (length > 0 && this.#stop.charCodeAt(length) !== unit) length = this.#borderOf(length);
    return this.#stop.charCodeAt(length) === unit ? length + 1 : 0;
  }

  #borderOf(length: number): number {
    return invariant(this.#borders[length], 'every start of a stop string has its border');
  }
}
