import { decodeEntry, noHash, type Entry } from './entry.ts';
import type { Line, Place } from './lines.ts';

/**
 * The kind of a problem. `changed`: a line is not as it was written. `missing`: entries before this one are gone.
 * `misplaced`: the line was moved here, or is a copy. `rewritten`: entries were made anew, or come from another log.
 * `cut`: the end is gone. `head`: the head is gone or not signed. `signer`: the log is somebody else's.
 */
export type ProblemKind = 'changed' | 'missing' | 'misplaced' | 'rewritten' | 'cut' | 'head' | 'signer';

/** A problem with a log, and its place. */
export interface Problem extends Place {
  readonly kind: ProblemKind;
  /** Message for people. */
  readonly message: string;
}

/** Formats a range of entries for people: `entry 7`, or `entries 7 to 9`. */
export function entryRange(from: number, to: number): string {
  return from === to ? `entry ${from}` : `entries ${from} to ${to}`;
}

/**
 * A chain of entries, checked line by line. After a problem it continues from the line that it found, so that each
 * problem is reported once.
 */
export class Chain {
  #seq: number | undefined;
  #hash: string | undefined;

  /** @param start where to enter the log: at its beginning, or in the middle, trusting the first line */
  constructor(start: 'beginning' | 'anywhere') {
    if (start === 'beginning') [this.#seq, this.#hash] = [0, noHash];
  }

  /** Number of the last entry. Undefined before the first when entered in the middle. */
  get seq(): number | undefined {
    return this.#seq;
  }

  take(line: Line): { readonly entry: Entry | undefined; readonly problem: Problem | undefined } {
    const { file, offset } = line;
    const problem = (kind: ProblemKind, message: string) => ({ kind, message, file, line: line.line, offset });
    const expected = this.#seq === undefined ? undefined : this.#seq + 1;
    const entry = line.isWhole ? decodeEntry(line.bytes) : undefined;
    if (entry === undefined) {
      [this.#seq, this.#hash] = [expected, undefined];
      return { entry, problem: problem('changed', `entry ${expected ?? ''} was changed: it does not fit its hash`) };
    }
    const { seq, previous, hash } = entry;
    const isFollowing = this.#hash === undefined || previous === this.#hash;
    [this.#seq, this.#hash] = [seq, hash];
    if (expected !== undefined && seq > expected) {
      const gone = entryRange(expected, seq - 1);
      return { entry, problem: problem('missing', `${gone} should be before entry ${seq}: deleted or moved`) };
    }
    if (expected !== undefined && seq < expected) {
      const message = `entry ${seq} stands where entry ${expected} should: moved here, or a copy`;
      return { entry, problem: problem('misplaced', message) };
    }
    if (!isFollowing) {
      const message = `entry ${seq} does not follow the entry before it: one of them was made anew, or is of another log`;
      return { entry, problem: problem('rewritten', message) };
    }
    return { entry, problem: undefined };
  }
}
