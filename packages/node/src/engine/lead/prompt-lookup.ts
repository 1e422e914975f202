import { invariant } from '@skein/protocol';

/** Lengths of the matches that are looked for, longest first: a longer one is likelier to go on alike. */
const orders = [3, 2, 1] as const;
/** Number of a sequence's newest tokens that are searched. It bounds the index, not the sequence. */
const indexedTokens = 32_768;
/** Longest match that is told apart. */
const longestMatch = 64;
/** Weight of the newest prediction in the estimate of the hit rate. */
const weight = 0.15;
/**
 * Hit rates of predictions by the number of matching tokens, before anything is known of the sequence; by the least
 * length of the class. Rough means over prose, code and copied passages.
 */
const priors: readonly (readonly [length: number, hitRate: number])[] = [
  [64, 0.99],
  [32, 0.97],
  [16, 0.93],
  [8, 0.85],
  [4, 0.65],
  [3, 0.5],
  [2, 0.3],
  [1, 0.15],
];

interface Match {
  /** Position of the predicted token. */
  readonly position: number;
  /** Number of tokens before it that equal those at the sequence's end. */
  readonly length: number;
}

/**
 * A prompt lookup, which predicts a sequence's next tokens by those that followed the last few tokens at an earlier
 * place, in the prompt or in the text generated so far. It predicts whether or not the predictions are used, so that it
 * learns from every drawn token how much they are worth, at no cost.
 */
export class PromptLookup {
  readonly #tokens: readonly number[];
  /** For each order, by the hash of that many tokens, the position behind their last occurrence. */
  readonly #positions = orders.map(() => new Map<number, number>());
  readonly #hitRates = priors.map(([, hitRate]) => hitRate);
  #indexed: number;
  #match: Match | undefined;

  /** @param tokens of the sequence; they may grow: call {@link observe} for each added token */
  constructor(tokens: readonly number[]) {
    this.#tokens = tokens;
    this.#indexed = Math.max(0, tokens.length - indexedTokens);
    this.#index();
    this.#match = this.#find();
  }

  /**
   * The rate at which predictions like the present one have come true in this sequence, newer ones counting more; 0
   * when there is none.
   */
  get hitRate(): number {
    return this.#match === undefined ? 0 : this.#hitRateOf(classOf(this.#match.length));
  }

  /** Learns the token that was drawn: the sequence's last one. */
  observe(): void {
    const match = this.#match;
    const isHit = match !== undefined && this.#tokens[match.position] === this.#tokens.at(-1);
    if (match !== undefined) {
      const index = classOf(match.length);
      const hitRate = this.#hitRateOf(index);
      this.#hitRates[index] = hitRate + weight * (Number(isHit) - hitRate);
    }
    this.#index();
    const found = this.#find();
    if (!isHit) this.#match = found;
    else {
      const goesOn = { position: match.position + 1, length: Math.min(match.length + 1, longestMatch) };
      this.#match = found !== undefined && found.length > goesOn.length ? found : goesOn;
    }
  }

  /**
   * Predicts tokens for the positions behind the sequence's last, leaving out the first `skip`. Returns fewer than
   * `count`, or none, where nothing is known.
   */
  predict(skip: number, count: number): number[] {
    const start = this.#match?.position;
    if (start === undefined) return [];
    const predicted: number[] = [];
    // Reading on into what was just predicted continues a loop for as long as it is asked for.
    const at = (index: number): number | undefined =>
      index < this.#tokens.length ? this.#tokens[index] : predicted[index - this.#tokens.length];
    while (predicted.length < skip + count) {
      const token = at(start + predicted.length);
      if (token === undefined) break;
      predicted.push(token);
    }
    return predicted.slice(skip);
  }

  #hitRateOf(index: number): number {
    return invariant(this.#hitRates[index], 'a match has a class');
  }

  /** Enters every place whose following token is known. */
  #index(): void {
    for (; this.#indexed + 1 < this.#tokens.length; this.#indexed += 1) {
      const end = this.#indexed + 1;
      for (const [index, order] of orders.entries()) {
        if (end >= order) this.#positions[index]?.set(this.#hash(end, order), end);
      }
    }
    // A sequence much longer than what is searched starts its index anew, rather than to keep it all.
    for (const positions of this.#positions) if (positions.size > 2 * indexedTokens) positions.clear();
  }

  #find(): Match | undefined {
    const end = this.#tokens.length;
    for (const [index, order] of orders.entries()) {
      if (end < order) continue;
      const position = this.#positions[index]?.get(this.#hash(end, order));
      if (position === undefined) continue;
      let length = 0;
      while (
        length < longestMatch &&
        length < position &&
        this.#tokens[position - 1 - length] === this.#tokens[end - 1 - length]
      ) {
        length += 1;
      }
      if (length >= order) return { position, length };
    }
    return undefined;
  }

  /** Hashes the tokens before a position. Collisions only cost a prediction: a match is compared token by token. */
  #hash(end: number, order: number): number {
    let hash = order;
    for (let index = end - order; index < end; index += 1) {
      hash =
        Math.imul(hash ^ invariant(this.#tokens[index], 'a hash ends within the sequence'), 0x9e37_79b1) ^
        (hash >>> 15);
    }
    return hash;
  }
}

function classOf(length: number): number {
  return priors.findIndex(([least]) => length >= least);
}
