/** Observations that the average remembers, about. */
const memory = 16;

/** An average of the latest observations: the plain one of the first few, later ones weigh less the older they are. */
export class RunningAverage {
  #count = 0;
  #value = 0;

  /** Undefined before the first observation. */
  get value(): number | undefined {
    return this.#count === 0 ? undefined : this.#value;
  }

  observe(value: number): void {
    this.#count = Math.min(this.#count + 1, memory);
    this.#value += (value - this.#value) / this.#count;
  }
}
