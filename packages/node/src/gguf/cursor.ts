import { SkeinError } from '@skein/protocol';

import type { ByteSource } from './byte-source.ts';

/** Bytes fetched at a time: a header of megabytes takes few reads, and that of a slice without vocabulary takes one. */
const windowBytes = 256 * 1024;

/**
 * A position that moves forward through a {@link ByteSource}. It checks every request against the bytes that are left
 * before it allocates anything, so a length field from a hostile file costs nothing.
 */
export class Cursor {
  readonly #source: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #windowOffset = 0;
  #offset: number;

  constructor(source: ByteSource, offset = 0) {
    this.#source = source;
    this.#offset = offset;
  }

  /** Position, in bytes from the start of the source. */
  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#source.bytes - this.#offset;
  }

  /**
   * Takes the next `length` bytes. The view is valid until the next call.
   *
   * @param what the name of these bytes, for errors
   * @throws SkeinError `model-invalid` when fewer are left
   */
  async take(length: number, what: string): Promise<DataView> {
    this.#require(length, what);
    if (!this.#holds(length)) {
      this.#windowOffset = this.#offset;
      this.#window = await this.#source.read(this.#offset, Math.min(this.remaining, Math.max(length, windowBytes)));
    }
    return this.#takeHeld(length);
  }

  /** Takes bytes as {@link take} does, without waiting; undefined when they have to be fetched first. */
  takeFetched(length: number): DataView | undefined {
    return this.#holds(length) ? this.#takeHeld(length) : undefined;
  }

  /**
   * Skips `length` bytes without reading them.
   *
   * @throws SkeinError `model-invalid` when fewer are left
   */
  skip(length: number, what: string): void {
    this.#require(length, what);
    this.#offset += length;
  }

  #holds(length: number): boolean {
    return this.#offset + length <= this.#windowOffset + this.#window.byteLength;
  }

  #takeHeld(length: number): DataView {
    const view = new DataView(this.#window.buffer, this.#window.byteOffset + this.#offset - this.#windowOffset, length);
    this.#offset += length;
    return view;
  }

  #require(length: number, what: string): void {
    if (length <= this.remaining) return;
    throw new SkeinError(
      'model-invalid',
      `the file is truncated or damaged: ${what} at byte ${this.#offset} needs ${length} bytes, ${this.remaining} found; pull it again`,
    );
  }
}
