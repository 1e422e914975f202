import { commonPrefix } from './common-prefix.ts';

export interface KeepingOptions {
  /**
   * Rows that can be computed beside a kept cell until passing over it has taken as long as computing it anew would.
   * Infinity where that costs nothing.
   */
  readonly breakEvenRows: number;
}

/** How often a finished sequence is of use again, before anything is known. */
const initialReuse = 0.2;
/** Never taken to be less: so that a server which was never asked twice still notices when it is. */
const leastReuse = 0.01;
/** Weight of the newest request in the estimate. */
const weight = 0.2;
/** Shorter prefixes are no reason to keep anything. */
const leastTokens = 16;
/** Sequences remembered after their cells were let go, by their tokens alone. */
const rememberedSequences = 64;

/**
 * How long finished sequences are worth their cells. On a CPU a row's attention passes over every cell that is in use,
 * whosever it is, so what is kept slows down all that is computed beside it. A sequence is kept until that has cost as much
 * as it can be expected to save: the time to compute it anew times the probability that it is asked for again, which is
 * learned (the rule of renting until the price is reached: Karlin et al. 1988, "Competitive snoopy caching").
 *
 * Time is counted in rows, so an idle machine forgets nothing.
 */
export class Keeping {
  readonly #breakEvenRows: number;
  /** Tokens of sequences that were let go, oldest first: had they been kept, would they have been of use? */
  readonly #forgotten: (readonly number[])[] = [];
  #reuse = initialReuse;
  #rows = 0;

  constructor({ breakEvenRows }: KeepingOptions) {
    this.#breakEvenRows = breakEvenRows;
  }

  /** Rows computed so far. */
  get now(): number {
    return this.#rows;
  }

  /** Some rows have been computed. */
  pass(rows: number): void {
    this.#rows += rows;
  }

  /**
   * Whether what was last used at {@link now} = `usedAt` will have cost what it can be expected to save when so many more
   * rows have been computed.
   */
  isOverdue(usedAt: number, rowsAhead: number): boolean {
    return this.#rows + rowsAhead - usedAt > this.#reuse * this.#breakEvenRows;
  }

  /** A kept sequence was let go. */
  forget(tokens: readonly number[]): void {
    this.#forgotten.push(tokens);
    if (this.#forgotten.length > rememberedSequences) this.#forgotten.shift();
  }

  /** A prompt has come, of which a kept sequence holds so many tokens. */
  learn(prompt: readonly number[], keptTokens: number): void {
    const isReuse =
      keptTokens >= leastTokens ||
      this.#forgotten.some((tokens) => commonPrefix(tokens, prompt, prompt.length - 1) >= leastTokens);
    this.#reuse = Math.max(leastReuse, this.#reuse + weight * (Number(isReuse) - this.#reuse));
  }
}
