const firstBytes = 16 * 1024;

/** A buffer for bytes that come in pieces of any size: a million pieces of one byte take no more room than a large one. */
export class GrowingBuffer {
  #bytes: Buffer;
  #length = 0;

  /** @param expectedBytes how many are going to come, where that is known */
  constructor(expectedBytes = firstBytes) {
    // Memory of its own, of which the system gives only the pages that are written to.
    this.#bytes = Buffer.allocUnsafeSlow(expectedBytes);
  }

  get length(): number {
    return this.#length;
  }

  append(piece: Uint8Array): void {
    const length = this.#length + piece.byteLength;
    if (length > this.#bytes.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.byteLength));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  /** Returns the bytes so far, not copied. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
