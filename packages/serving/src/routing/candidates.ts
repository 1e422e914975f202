import { addRow, rowLength, writeRow, type Sums } from './expected-cost.ts';
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
  readonly #sums: Sums = { count: 0, unknown: 0, busy: 0, msPerToken: 0 };
  #scratch = new Float64Array(1);

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

  /** Sums over all rows. */
  get sums(): Readonly<Sums> {
    return this.#sums;
  }

  /**
   * Returns room for a number of each candidate, which counts until it is asked for again: a new array for each decision
   * would keep the garbage collector busy.
   */
  scratch(): Float64Array {
    if (this.#scratch.length < this.#all.length) this.#scratch = new Float64Array(2 * this.#all.length);
    return this.#scratch;
  }

  add(candidate: C): void {
    const place = this.#all.push(candidate) - 1;
    this.#places.set(candidate, place);
    if (this.#rows.length < this.#all.length * rowLength) {
      const rows = new Float64Array(2 * this.#all.length * rowLength);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.#write(place, candidate);
  }

  /** Takes the figures of a candidate that has changed. */
  refresh(candidate: C): void {
    const place = this.#places.get(candidate);
    if (place === undefined) return;
    addRow(this.#sums, this.#rows, place * rowLength, -1);
    this.#write(place, candidate);
  }

  /** Removes a candidate. The last one takes its place. */
  remove(candidate: C): void {
    const place = this.#places.get(candidate);
    const last = this.#all.at(-1);
    if (place === undefined || last === undefined) return;
    const lastRow = (this.#all.length - 1) * rowLength;
    addRow(this.#sums, this.#rows, place * rowLength, -1);
    this.#rows.copyWithin(place * rowLength, lastRow, lastRow + rowLength);
    this.#all[place] = last;
    this.#places.set(last, place);
    this.#all.pop();
    this.#places.delete(candidate);
    this.#standbys.delete(candidate);
  }

  #write(place: number, candidate: C): void {
    writeRow(this.#rows, place * rowLength, candidate);
    addRow(this.#sums, this.#rows, place * rowLength, 1);
    if (candidate.replica.isStandby) this.#standbys.add(candidate);
    else this.#standbys.delete(candidate);
  }
}
