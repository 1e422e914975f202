import { commonPrefix } from './common-prefix.ts';

export interface SwappedSequencesOptions {
  /** Most tokens of all together. */
  readonly tokens: number;
  /** Most sequences. */
  readonly sequences: number;
}

export interface SwappedSequence {
  readonly place: number;
  readonly tokens: readonly number[];
}

export type SwapDiscard = { readonly type: 'swap-discard'; readonly place: number };

/** Shorter ones are computed anew: that is as fast, and they would fill places. */
const leastTokens = 16;
/** Bringing a token back is hundreds of times as fast as computing it, and brings back all that are in its place. */
const mostTokensPerUse = 64;

/** Which finished sequences all stages keep in main memory, and where. Those used longest ago go first. */
export class SwappedSequences {
  readonly #options: SwappedSequencesOptions;
  readonly #freePlaces: number[];
  /** Least recently used first. */
  #swapped: SwappedSequence[] = [];
  #tokens = 0;

  constructor(options: SwappedSequencesOptions) {
    this.#options = options;
    this.#freePlaces = Array.from({ length: options.sequences }, (_, index) => options.sequences - 1 - index);
  }

  get count(): number {
    return this.#swapped.length;
  }

  /**
   * The one that saves most of a prompt's first `most` tokens, and how many those are.
   *
   * @param room cells for all of it while it is brought back
   */
  longest(
    prompt: readonly number[],
    most: number,
    room: number,
  ): { readonly source: SwappedSequence; readonly tokens: number } | undefined {
    let best: { source: SwappedSequence; tokens: number } | undefined;
    for (const source of this.#swapped) {
      const tokens = commonPrefix(source.tokens, prompt, most);
      if (source.tokens.length > room || tokens * mostTokensPerUse < source.tokens.length) continue;
      if (tokens >= leastTokens && tokens > (best?.tokens ?? 0)) best = { source, tokens };
    }
    return best;
  }

  /** Whether there is room for so many tokens, with all others gone. */
  fits(tokens: readonly number[]): boolean {
    return tokens.length <= this.#options.tokens;
  }

  /** One has been of use: others go before it. */
  use(source: SwappedSequence): void {
    this.#swapped = [...this.#swapped.filter((swapped) => swapped !== source), source];
  }

  /**
   * Finds a place for a finished sequence.
   *
   * @returns the place, undefined where it is not worth one, and what has to be forgotten before
   */
  add(tokens: readonly number[]): { readonly place: number | undefined; readonly discards: readonly SwapDiscard[] } {
    if (tokens.length < leastTokens || !this.fits(tokens)) return { place: undefined, discards: [] };
    const longer = this.#swapped.find(
      (swapped) => commonPrefix(swapped.tokens, tokens, tokens.length) === tokens.length,
    );
    if (longer !== undefined) {
      this.use(longer);
      return { place: undefined, discards: [] };
    }
    // What it goes on from is part of it now.
    const parts = this.#swapped.filter(
      (swapped) => commonPrefix(swapped.tokens, tokens, swapped.tokens.length) === swapped.tokens.length,
    );
    const discards = parts.map((part) => this.#discard(part));
    while (this.#freePlaces.length === 0 || this.#tokens + tokens.length > this.#options.tokens) {
      const [oldest] = this.#swapped;
      if (oldest === undefined) break;
      discards.push(this.#discard(oldest));
    }
    const place = this.#freePlaces.pop();
    if (place === undefined) return { place, discards };
    this.#swapped.push({ place, tokens });
    this.#tokens += tokens.length;
    return { place, discards };
  }

  /** Forgets all. */
  clear(): readonly SwapDiscard[] {
    return this.#swapped.map((swapped) => this.#discard(swapped));
  }

  #discard(swapped: SwappedSequence): SwapDiscard {
    this.#swapped = this.#swapped.filter((one) => one !== swapped);
    this.#tokens -= swapped.tokens.length;
    this.#freePlaces.push(swapped.place);
    return { type: 'swap-discard', place: swapped.place };
  }
}
