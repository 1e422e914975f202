/**
 * An assembler of the text that may be shown from the bytes of tokens. It holds back bytes of an unfinished character,
 * and text that may turn out to be the start of a stop string: shown text is never taken back.
 */
export class TextAssembler {
  /** Decoder that takes a byte order mark for a character like others: texts may begin with one. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    // Half a surrogate pair is in no text, but would be found inside a character.
    this.#stops = stops.filter((stop) => stop.isWellFormed());
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
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
    if (found.length > 0) {
      this.#stopped = true;
      this.#held = '';
      return text.slice(0, Math.min(...found));
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }
}

/** Returns the length of the longest end of `text` that `stop` starts with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
