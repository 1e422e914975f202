import type { Random } from '../../fixtures/random.ts';

/** A source of random choices. */
export class Drawing {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns an integer from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.#random.uniform() * (most - least + 1));
  }

  /** Returns an integer up to `most` that is mostly small: its logarithm is uniform. */
  size(most: number): number {
    return Math.floor(Math.exp(this.#random.uniform() * Math.log(most + 1)));
  }

  happens(probability: number): boolean {
    return this.#random.uniform() < probability;
  }

  one<Item>(items: readonly Item[]): Item {
    const item = items[this.integer(0, items.length - 1)];
    if (item === undefined) throw new RangeError('there is nothing to choose from');
    return item;
  }

  list<Item>(count: number, draw: (index: number) => Item): Item[] {
    return Array.from({ length: count }, (_, index) => draw(index));
  }
}
