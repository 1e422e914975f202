import { invariant } from '@skein/protocol';

import { commonPrefix, negligibleTokens } from './common-prefix.ts';

export interface SwappedSequencesOptions {
  /** Most tokens of all sequences together. */
  readonly tokens: number;
  /** Most sequences. */
  readonly sequences: number;
}

export interface SwappedSequence {
  readonly place: number;
  readonly tokens: readonly number[];
  /** Id of the request that computed it, if anybody asks. */
  readonly owner: string | undefined;
}

/** A running sequence's cells in main memory, which stay there until they are released. */
export interface HeldCopy {
  readonly place: number;
  /** Number of tokens in it. */
  readonly tokens: number;
}

export type SwapDiscard = { readonly type: 'swap-discard'; readonly place: number };

/** Share of the space through which running sequences are moved, and which preempted ones leave free. */
const movingShare = 1 / 8;
/**
 * Most tokens brought back for each token that is of use. Bringing one back is hundreds of times as fast as computing
 * it, and brings back all in its place.
 */
const mostTokensPerUse = 64;

/**
 * The sequences that all stages keep in main memory, with their places: finished ones, of which those used longest ago
 * go first, and copies of running ones, which have precedence.
 */
export class SwappedSequences {
  readonly #options: SwappedSequencesOptions;
  readonly #freePlaces: number[];
  /** Finished sequences, least recently used first. */
  #swapped: SwappedSequence[] = [];
  readonly #held = new Set<HeldCopy>();
  #tokens = 0;
  #heldTokens = 0;
  #gone: string[] = [];

  constructor(options: SwappedSequencesOptions) {
    this.#options = options;
    this.#freePlaces = Array.from({ length: options.sequences }, (_, index) => options.sequences - 1 - index);
  }

  get count(): number {
    return this.#swapped.length;
  }

  /**
   * Finds the sequence that saves most of a prompt's first `most` tokens, and how many those are.
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
      if (tokens > (best?.tokens ?? 0)) best = { source, tokens };
    }
    return best;
  }

  /** Tells whether there is room for so many tokens, without all finished sequences. */
  fits(tokens: number): boolean {
    return tokens <= this.#options.tokens - this.#heldTokens;
  }

  /** Tells whether there is room for so many tokens that stay until they are released. */
  fitsToStay(tokens: number): boolean {
    return this.fits(tokens + Math.ceil(this.#options.tokens * movingShare));
  }

  /** Number of tokens that can be held for a moment, at the cost of as few finished sequences as possible. */
  get movableTokens(): number {
    const { tokens } = this.#options;
    return Math.min(tokens - this.#heldTokens, Math.max(tokens - this.#tokens, Math.ceil(tokens * movingShare)));
  }

  /** Tells whether a sequence is still there. */
  has(source: SwappedSequence): boolean {
    return this.#swapped.includes(source);
  }

  /** Notes that a sequence has been of use: others go before it. */
  use(source: SwappedSequence): void {
    this.#swapped = [...this.#swapped.filter((swapped) => swapped !== source), source];
  }

  /** Returns the owners of the sequences that were forgotten since it was asked last. */
  takeGone(): readonly string[] {
    const gone = this.#gone;
    this.#gone = [];
    return gone;
  }

  /**
   * Finds a place for a finished sequence, which counts as forgotten where it gets none.
   *
   * @returns the place, undefined where it is not worth one, and the discards to send before
   */
  add(
    tokens: readonly number[],
    owner: string | undefined,
  ): { readonly place: number | undefined; readonly discards: readonly SwapDiscard[] } {
    const added = this.#add(tokens, owner);
    if (added.place === undefined) this.#forget(owner);
    return added;
  }

  #add(tokens: readonly number[], owner: string | undefined): ReturnType<SwappedSequences['add']> {
    if (tokens.length <= negligibleTokens || !this.fits(tokens.length)) return { place: undefined, discards: [] };
    const longer = this.#swapped.find(
      (swapped) => commonPrefix(swapped.tokens, tokens, tokens.length) === tokens.length,
    );
    if (longer !== undefined) {
      this.use(longer);
      return { place: undefined, discards: [] };
    }
    // A sequence that it goes on from is part of it now.
    const parts = this.#swapped.filter(
      (swapped) => commonPrefix(swapped.tokens, tokens, swapped.tokens.length) === swapped.tokens.length,
    );
    const discards = parts.map((part) => this.#discard(part));
    discards.push(...this.#makeRoom(tokens.length));
    const place = this.#freePlaces.pop();
    if (place === undefined) return { place, discards };
    this.#swapped.push({ place, tokens, owner });
    this.#tokens += tokens.length;
    return { place, discards };
  }

  /**
   * Finds a place for the cells of a running sequence, for which finished ones go.
   *
   * @returns the copy, and the discards to send before; undefined where copies of others leave no room
   */
  hold(tokens: number): { readonly copy: HeldCopy; readonly discards: readonly SwapDiscard[] } | undefined {
    if (!this.fits(tokens) || this.#held.size >= this.#options.sequences) return undefined;
    const discards = this.#makeRoom(tokens);
    const place = invariant(this.#freePlaces.pop(), 'a place is free where not all are held');
    const copy = { place, tokens };
    this.#held.add(copy);
    this.#tokens += tokens;
    this.#heldTokens += tokens;
    return { copy, discards };
  }

  /** Gives up the place of a copy. */
  release(copy: HeldCopy): SwapDiscard {
    this.#held.delete(copy);
    this.#tokens -= copy.tokens;
    this.#heldTokens -= copy.tokens;
    this.#freePlaces.push(copy.place);
    return { type: 'swap-discard', place: copy.place };
  }

  /** Forgets everything, including copies. */
  clear(): readonly SwapDiscard[] {
    return [
      ...this.#swapped.map((swapped) => this.#discard(swapped)),
      ...Array.from(this.#held, (copy) => this.release(copy)),
    ];
  }

  #forget(owner: string | undefined): void {
    if (owner !== undefined) this.#gone.push(owner);
  }

  /** Forgets the sequences used longest ago until there is room for so many tokens more. */
  #makeRoom(tokens: number): SwapDiscard[] {
    const discards: SwapDiscard[] = [];
    while (this.#freePlaces.length === 0 || this.#tokens + tokens > this.#options.tokens) {
      const [oldest] = this.#swapped;
      if (oldest === undefined) break;
      discards.push(this.#discard(oldest));
    }
    return discards;
  }

  #discard(swapped: SwappedSequence): SwapDiscard {
    this.#swapped = this.#swapped.filter((one) => one !== swapped);
    this.#forget(swapped.owner);
    this.#tokens -= swapped.tokens.length;
    this.#freePlaces.push(swapped.place);
    return { type: 'swap-discard', place: swapped.place };
  }
}
