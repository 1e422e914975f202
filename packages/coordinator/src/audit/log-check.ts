import type { KeyObject } from 'node:crypto';

import { Chain, entryRange, type Problem, type ProblemKind } from './chain.ts';
import { isSignedEntry, type Entry } from './entry.ts';
import { loggedEventSchema } from './events.ts';
import { fileName } from './files.ts';
import { headName, type StoredHead } from './head.ts';
import type { Line, Place } from './lines.ts';
import { decodeKey, encodeKey } from './signature.ts';
import type { Recovery, Verification } from './verification.ts';

/** Most problems that are reported: more would help nobody. */
const maxProblems = 100;

/** The rules of a log, applied line by line. */
export class LogCheck {
  readonly #head: StoredHead | 'damaged' | undefined;
  readonly #wantedKey: KeyObject | undefined;
  readonly #chain = new Chain('beginning');
  readonly #problems: Problem[] = [];
  readonly #recoveries: Recovery[] = [];
  #ownKey: string | undefined;
  #key: KeyObject | undefined;
  #entries = 0;
  #checkpoints = 0;
  /** Number of the last entry that a signature has vouched for. */
  #signedSeq = 0;
  #from: string | undefined;
  #to: string | undefined;
  #torn: Verification['torn'];
  /** Place at which the head's entry has another hash than the head says. */
  #unlikeHead: Place | undefined;
  #end: Pick<Line, 'file' | 'line' | 'end'> | undefined;

  constructor(options: {
    readonly head: StoredHead | 'damaged' | undefined;
    /** Public key with which the log must be signed. */
    readonly key: KeyObject | undefined;
  }) {
    this.#head = options.head;
    this.#wantedKey = options.key;
    this.#key = options.key;
  }

  /** Checks a line. Lines come in the order of the log. An incomplete line in its last file is no damage. */
  take(line: Line, { isLastFile }: { readonly isLastFile: boolean }): void {
    if (!line.isWhole && isLastFile) {
      const { file, offset, end } = line;
      this.#torn = { file, line: line.line, offset, bytes: end - offset };
      return;
    }
    this.#end = line;
    const { entry, problem } = this.#chain.take(line);
    if (problem !== undefined) this.#add(problem);
    if (entry !== undefined) this.#takeEntry(entry, line);
  }

  finish(files: readonly string[]): Verification {
    const head = this.#head === 'damaged' ? undefined : this.#head;
    this.#checkHead(files);
    return {
      ok: this.#problems.length === 0,
      files: files.length,
      entries: this.#entries,
      from: this.#from,
      to: this.#to,
      checkpoints: this.#checkpoints,
      key: this.#ownKey,
      isKnownKey: this.#wantedKey !== undefined && this.#ownKey === encodeKey(this.#wantedKey),
      head: head && { entries: head.entries, hash: head.hash },
      unsealed: Math.max(0, (this.#chain.seq ?? 0) - (head?.entries ?? 0)),
      recoveries: this.#recoveries,
      torn: this.#torn,
      problems: this.#problems,
    };
  }

  #takeEntry(entry: Entry, line: Line): void {
    const { seq, time } = entry;
    this.#entries += 1;
    this.#from ??= time;
    this.#to = time;
    if (typeof this.#head === 'object' && seq === this.#head.entries && entry.hash !== this.#head.hash) {
      this.#unlikeHead ??= line;
    }
    const known = loggedEventSchema.safeParse(entry).data;
    if (known?.type === 'opened') this.#takeKey(known.key, line);
    if (known?.type === 'checkpoint') this.#takeCheckpoint(seq, line);
    if (known?.type === 'recovered') {
      const { tornBytes, unsealed } = known;
      this.#recoveries.push({ ...placeOf(line), seq, tornBytes, unsealed });
    }
  }

  #takeKey(key: string, line: Line): void {
    if (this.#ownKey !== undefined) return this.#problem('rewritten', 'another log begins here', line);
    this.#ownKey = key;
    this.#key ??= decodeKey(key);
    if (this.#wantedKey !== undefined && key !== encodeKey(this.#wantedKey)) {
      this.#problem('signer', 'the log is signed with the key of somebody else', line);
    }
    return undefined;
  }

  #takeCheckpoint(seq: number, line: Line): void {
    this.#checkpoints += 1;
    if (this.#key === undefined) return;
    if (isSignedEntry(line.bytes, this.#key)) this.#signedSeq = seq;
    else {
      this.#problem(
        'rewritten',
        `the coordinator has not signed this: something in ${entryRange(this.#signedSeq + 1, seq)} was made anew`,
        line,
      );
    }
  }

  #checkHead(files: readonly string[]): void {
    const head = this.#head;
    const place = { file: headName, line: 1, offset: 0 };
    if (head === undefined) return this.#problem('head', 'it is missing: nothing says how long the log was', place);
    if (head === 'damaged') return this.#problem('head', 'it was changed: it is no head', place);
    if (this.#key !== undefined && !head.isSignedBy(this.#key)) {
      return this.#problem('head', 'it was changed: the coordinator has not signed this', place);
    }
    const seq = this.#chain.seq ?? 0;
    if (seq < head.entries) {
      const message = `the end was cut off, with ${entryRange(seq + 1, head.entries)}`;
      return this.#problem('cut', message, this.#torn ?? this.#placeOfEnd(files));
    }
    if (this.#unlikeHead !== undefined) {
      const message = `the head has another entry ${head.entries}: something in ${entryRange(this.#signedSeq + 1, head.entries)} was made anew`;
      this.#problem('rewritten', message, this.#unlikeHead);
    }
    return undefined;
  }

  /** Returns the place of the next line. */
  #placeOfEnd(files: readonly string[]): Place {
    const last = files.at(-1) ?? fileName(1);
    if (this.#end?.file !== last) return { file: last, line: 1, offset: 0 };
    return { file: last, line: this.#end.line + 1, offset: this.#end.end };
  }

  #problem(kind: ProblemKind, message: string, place: Place): void {
    this.#add({ kind, message, ...placeOf(place) });
  }

  #add(problem: Problem): void {
    if (this.#problems.length < maxProblems) this.#problems.push(problem);
  }
}

function placeOf({ file, line, offset }: Place): Place {
  return { file, line, offset };
}
