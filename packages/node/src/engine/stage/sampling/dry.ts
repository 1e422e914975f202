import { invariant, type Sampling } from '@skein/protocol';

import { Restarts, type TokenTexts } from './restarts.ts';

/** Greatest exponent of e that a 32 bit float holds. */
const greatestLogarithm = 88.722_839_1;

export type DryOptions = NonNullable<Sampling['dry']>;

/**
 * "Don't repeat yourself", a sampler that makes tokens less likely that would continue a repetition. Of the text before
 * each place it finds the longest end that is also the end of the whole text; the token at that place would lengthen
 * it. A repetition does not reach across a breaker. The penalties are those of llama.cpp's sampler of that name, in
 * time that depends on the text alone: a draw passes over the last tokens once.
 *
 * The idea and its formula: p-e-w, "DRY: A modern repetition penalty", text-generation-webui, pull request 5677. The
 * ends are found by the Z-algorithm (D. Gusfield, "Algorithms on Strings, Trees, and Sequences", 1997, section 1.4).
 */
export class Dry {
  readonly #options: DryOptions;
  readonly #restarts: Restarts;
  readonly #tokens: number[] = [];
  #lengths = new Int32Array(0);

  /** @param options.lastTokens tokens to look back at; not negative */
  constructor(texts: TokenTexts, options: DryOptions) {
    this.#options = options;
    this.#restarts = new Restarts(texts, options.breakers);
  }

  /** Notes a token of the prompt or a drawn one. */
  accept(token: number): void {
    this.#tokens.push(token);
  }

  /** Returns the penalties to subtract from the logits, by token: those of tokens that would continue a repetition. */
  penalties(): ReadonlyMap<number, number> {
    const { multiplier, base, allowedLength, lastTokens } = this.#options;
    const from = Math.max(0, this.#tokens.length - lastTokens);
    const longest = this.#restarts.tokensSince(this.#tokens, from);
    const penalties = new Map<number, number>();
    if (this.#tokens.length - from <= allowedLength || longest < allowedLength) return penalties;
    const mostExponent = base > 1.000_001 ? Math.floor(greatestLogarithm / Math.log(base)) : Infinity;
    for (const [token, length] of this.#repetitions(from, longest)) {
      if (this.#restarts.isBreaker(token)) continue;
      penalties.set(token, multiplier * base ** Math.min(length - allowedLength, mostExponent));
    }
    return penalties;
  }

  /**
   * Returns for each token that would continue a repetition the length of the longest one, of those that are long
   * enough.
   */
  #repetitions(from: number, longest: number): Map<number, number> {
    const { allowedLength } = this.#options;
    const lengths = this.#commonEnds(from);
    const repetitions = new Map<number, number>();
    for (let before = 1; before < this.#tokens.length - from; before += 1) {
      const length = Math.min(invariant(lengths[before], 'each place has a length'), longest);
      if (length < allowedLength) continue;
      const token = this.#fromEnd(before - 1);
      repetitions.set(token, Math.max(length, repetitions.get(token) ?? 0));
    }
    return repetitions;
  }

  /** Returns for each distance from the end how many tokens up to there equal those up to the end. */
  #commonEnds(from: number): Int32Array {
    const count = this.#tokens.length - from;
    if (this.#lengths.length < count) this.#lengths = new Int32Array(2 * count);
    const lengths = this.#lengths;
    // Places from `start` to `end` are known to be the same as those from 0 on.
    let [start, end] = [0, 0];
    for (let place = 1; place < count; place += 1) {
      let length = place < end ? Math.min(end - place, invariant(lengths[place - start], 'an earlier place')) : 0;
      while (place + length < count && this.#fromEnd(length) === this.#fromEnd(place + length)) length += 1;
      if (place + length > end) [start, end] = [place, place + length];
      lengths[place] = length;
    }
    return lengths;
  }

  #fromEnd(distance: number): number {
    return invariant(this.#tokens[this.#tokens.length - 1 - distance], 'a place among the tokens');
  }
}
