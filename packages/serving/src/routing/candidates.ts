import { rowLength, writeRow } from './expected-cost.ts';
import type { Replica } from './replica.ts';

/** Requests that this member has sent to a replica and that no card tells of yet. */
export interface Unconfirmed {
  readonly requests: number;
  /** Tokens of their prompts that the replica has to read. */
  readonly tokens: number;
}

/** A replica with what the cards do not say of it. */
export interface Candidate {
  readonly replica: Replica;
  readonly unconfirmed: Unconfirmed;
}

/** Candidates, with the figures that decide between them in rows of numbers: objects take several times as long to read. */
export class Candidates<C extends Candidate = Candidate> {
  readonly #all: C[] = [];
  readonly #places = new Map<C, number>();
  readonly #standbys = new Set<C>();
  #rows = new Float64Array(rowLength);

  /** Returns candidates of a list. */
  static of<C extends Candidate>(list: Iterable<C>): Candidates<C> {
    const candidates = new Candidates<C>();
    for (const candidate of list) candidates.add(candidate);
    return candidates;
  }

  get all(): readonly C[] {
    return this.#all;
  }

  /** Those that are standbys. */
  get standbys(): ReadonlySet<C> {
    return this.#standbys;
  }

  /** The figures of the nth candidate begin at `n * rowLength`. */
  get rows(): Float64Array {
    return this.#rows;
  }

  add(candidate: C): void {
    const place = this.#all.push(candidate) - 1;
    this.#places.set(candidate, place);
    if (this.#rows.length < this.#all.length * rowLength) {
      const rows = new Float64Array(2 * this.#all.length * rowLength);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.refresh(candidate);
  }

  /** Takes the figures of a candidate that has changed. */
  refresh(candidate: C): void {
    const place = this.#places.get(candidate);
    if (place === undefined) return;
    writeRow(this.#rows, place * rowLength, candidate);
    if (candidate.replica.isStandby) this.#standbys.add(candidate);
    else this.#standbys.delete(candidate);
  }

  /** Removes a candidate. The last one takes its place. */
  remove(candidate: C): void {
    const place = this.#places.get(candidate);
    const last = this.#all.at(-1);
    if (place === undefined || last === undefined) return;
    this.#all[place] = last;
    this.#places.set(last, place);
    writeRow(this.#rows, place * rowLength, last);
    this.#all.pop();
    this.#places.delete(candidate);
    this.#standbys.delete(candidate);
  }
}
