import { SkeinError } from '../errors/skein-error.ts';

// Smaller chunks are copied together: each array costs a few hundred bytes, whatever it holds.
const mergeBelowBytes = 4096;
const minBlockBytes = 1024;
const maxMergedBytes = 32 * 1024;
const noBytes = new Uint8Array(0);

/**
 * Bytes that wait to be read, first in, first out. Chunks of 4 KiB and more are handed over as they came; consecutive
 * smaller ones are merged, so that memory and time depend on the bytes and not on the number of chunks: the queue takes
 * at most about twice its bytes.
 */
export class ChunkQueue {
  #chunks: Uint8Array[] = [];
  /** Index of the first chunk that was not taken. */
  #head = 0;
  #bytes = 0;
  /** Set while the last chunk is a block of ours: small chunks are copied behind its end, which nobody else sees. */
  #block: ArrayBufferLike | undefined;

  /** Bytes in the queue. */
  get byteLength(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return;
    this.#bytes += chunk.byteLength;
    const last = this.#chunks.at(-1);
    const merged = last === undefined ? undefined : this.#merge(last, chunk);
    if (merged === undefined) {
      this.#chunks.push(chunk);
      this.#block = undefined;
    } else {
      this.#chunks[this.#chunks.length - 1] = merged;
    }
  }

  /** Removes the first chunk, or what is left of it; undefined when the queue is empty. */
  shift(): Uint8Array | undefined {
    const first = this.#chunks[this.#head];
    if (first === undefined) return undefined;
    this.#bytes -= first.byteLength;
    this.#chunks[this.#head] = noBytes;
    this.#head += 1;
    // Seldom enough that each chunk is moved about once.
    if (this.#head * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }

  /** Removes `count` bytes, which must be there: a view where one chunk holds them, a copy where they span several. */
  take(count: number): Uint8Array {
    if (count > this.#bytes) throw new SkeinError('internal', 'more bytes were taken from a queue than it holds');
    const first = this.#chunks[this.#head];
    if (first === undefined) return noBytes;
    if (first.byteLength >= count) return this.#takeFromFirst(first, count);
    const joined = new Uint8Array(count);
    let filled = 0;
    for (let chunk: Uint8Array | undefined = first; filled < count && chunk !== undefined;) {
      const part = this.#takeFromFirst(chunk, Math.min(chunk.byteLength, count - filled));
      joined.set(part, filled);
      filled += part.byteLength;
      chunk = this.#chunks[this.#head];
    }
    return joined;
  }

  /** Returns the first four bytes as a little-endian number, without removing them; undefined when there are fewer. */
  peekUint32(): number | undefined {
    if (this.#bytes < 4) return undefined;
    let value = 0;
    let found = 0;
    for (let index = this.#head; found < 4; index++) {
      for (const byte of this.#chunks[index]?.subarray(0, 4 - found) ?? []) value += byte * 2 ** (8 * found++);
    }
    return value;
  }

  /** Removes all bytes. */
  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#block = undefined;
  }

  #takeFromFirst(first: Uint8Array, count: number): Uint8Array {
    if (first.byteLength === count) return this.shift() ?? noBytes;
    this.#chunks[this.#head] = first.subarray(count);
    this.#bytes -= count;
    return first.subarray(0, count);
  }

  /** Returns the last chunk with another appended; undefined where the two are better kept apart. */
  #merge(last: Uint8Array, chunk: Uint8Array): Uint8Array | undefined {
    if (chunk.byteLength >= mergeBelowBytes) return undefined;
    const isBlock = last.buffer === this.#block;
    if (!isBlock && last.byteLength >= mergeBelowBytes) return undefined;
    const bytes = last.byteLength + chunk.byteLength;
    if (isBlock && last.byteOffset + bytes <= last.buffer.byteLength) {
      const merged = new Uint8Array(last.buffer, last.byteOffset, bytes);
      merged.set(chunk, last.byteLength);
      return merged;
    }
    if (last.byteLength >= maxMergedBytes) return undefined;
    // Twice as much as is needed, so that a byte is copied about twice in all.
    const block = new Uint8Array(Math.max(minBlockBytes, bytes * 2));
    block.set(last);
    block.set(chunk, last.byteLength);
    this.#block = block.buffer;
    return block.subarray(0, bytes);
  }
}
