import { removeSequence, type Sequence } from './sequence.ts';

/** The sequences that run, in the order of their turns and in the order in which they began. */
export class RunningSequences {
  readonly #byTurn: Sequence[] = [];
  readonly #byAge: Sequence[] = [];

  get byTurn(): readonly Sequence[] {
    return this.#byTurn;
  }

  /** Sequences, the oldest first. */
  get byAge(): readonly Sequence[] {
    return this.#byAge;
  }

  get size(): number {
    return this.#byAge.length;
  }

  /** Adds a sequence that begins or comes back: the youngest. */
  add(sequence: Sequence): void {
    this.#byTurn.push(sequence);
    this.#byAge.push(sequence);
  }

  remove(sequence: Sequence): void {
    removeSequence(this.#byTurn, sequence);
    removeSequence(this.#byAge, sequence);
  }

  /** Puts a sequence that has had its turn behind all others. */
  passTurn(sequence: Sequence): void {
    removeSequence(this.#byTurn, sequence);
    this.#byTurn.push(sequence);
  }
}
