import { createHash } from 'node:crypto';

import { SkeinError } from '@skein/protocol';

/** A hash of bytes of which most are in a file: of a part from which it was merged. */
export interface ContentCheck {
  /** Name for people, in errors. */
  readonly label: string;
  readonly sha256: string;
  /** The bytes in order: ranges of the file, at ascending offsets, and bytes that are not in it. */
  readonly content: readonly (Uint8Array | { readonly offset: number; readonly bytes: number })[];
}

/** A check under way, which is told of a file's bytes from front to back. */
export class RunningCheck {
  readonly #check: ContentCheck;
  readonly #hash = createHash('sha256');
  /** Index of the first piece that is not finished. */
  #piece = 0;
  #isDone = false;

  constructor(check: ContentCheck) {
    this.#check = check;
  }

  /**
   * Takes the next bytes of the file, of which the first is at `offset`.
   *
   * @throws SkeinError `hash-mismatch` when the last byte of the check is among them and the hash is another one
   */
  update(chunk: Uint8Array, offset: number): void {
    const { content } = this.#check;
    for (let piece = content[this.#piece]; piece !== undefined; piece = content[this.#piece]) {
      if (piece instanceof Uint8Array) {
        this.#hash.update(piece);
      } else {
        const end = piece.offset + piece.bytes;
        this.#hash.update(chunk.subarray(Math.max(0, piece.offset - offset), Math.max(0, end - offset)));
        if (end > offset + chunk.byteLength) return;
      }
      this.#piece += 1;
    }
    if (!this.#isDone) this.#finish();
  }

  #finish(): void {
    this.#isDone = true;
    const { label, sha256 } = this.#check;
    const actual = this.#hash.digest('hex');
    if (actual === sha256) return;
    throw new SkeinError('hash-mismatch', `${label}: expected SHA-256 ${sha256}, got ${actual}; the file was deleted`, {
      details: { expected: sha256, actual },
    });
  }
}
