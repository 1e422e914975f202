import { SkeinError } from '../errors/skein-error.ts';
import { limits } from '../limits.ts';
import { decodeFrameBody, type Frame } from './frame.ts';

const lengthBytes = 4;

/**
 * Cuts a byte stream into frames. Feed it chunks of any size; it returns the frames they complete.
 * Memory use is bounded by `maxFrameBytes` plus one chunk: the length is checked before anything is kept.
 */
export class FrameParser {
  readonly #maxFrameBytes: number;
  #chunks: Uint8Array[] = [];
  #buffered = 0;

  constructor(options: { maxFrameBytes?: number } = {}) {
    this.#maxFrameBytes = options.maxFrameBytes ?? limits.maxFrameBytes;
  }

  /** Bytes received that do not make a whole frame yet. Not 0 at the end of a stream: it was cut short. */
  get pendingBytes(): number {
    return this.#buffered;
  }

  /**
   * Takes a chunk and returns all frames it completes. Throws `frame-too-large` or `protocol-violation`; the stream
   * can't be used after that.
   */
  push(chunk: Uint8Array): Frame[] {
    this.feed(chunk);
    const frames: Frame[] = [];
    for (let frame = this.next(); frame !== undefined; frame = this.next()) frames.push(frame);
    return frames;
  }

  /** Takes a chunk without cutting it; call {@link next} until it returns undefined before feeding more. */
  feed(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return;
    this.#chunks.push(chunk);
    this.#buffered += chunk.byteLength;
  }

  /** The next whole frame, or undefined when more bytes are needed. Throws as {@link push} does. */
  next(): Frame | undefined {
    if (this.#buffered < lengthBytes) return undefined;
    const length = this.#peekLength();
    if (length > this.#maxFrameBytes) {
      throw new SkeinError('frame-too-large', `a frame of ${length} bytes is over the limit of ${this.#maxFrameBytes}`);
    }
    if (this.#buffered < lengthBytes + length) return undefined;
    this.#take(lengthBytes);
    return decodeFrameBody(this.#take(length));
  }

  /** Hands over the bytes not cut yet, in order, for a stream that goes on without frames being decoded. */
  takeRest(): Uint8Array[] {
    const rest = this.#chunks;
    this.#chunks = [];
    this.#buffered = 0;
    return rest;
  }

  #peekLength(): number {
    let first = this.#chunks[0];
    if (first === undefined || first.byteLength < lengthBytes) {
      first = this.#take(this.#buffered);
      this.#chunks.unshift(first);
      this.#buffered = first.byteLength;
    }
    return new DataView(first.buffer, first.byteOffset, lengthBytes).getUint32(0, true);
  }

  /** Removes `count` bytes from the front: a view where one chunk holds them, a copy where they span several. */
  #take(count: number): Uint8Array {
    this.#buffered -= count;
    const first = this.#chunks[0];
    if (first !== undefined && first.byteLength >= count) {
      if (first.byteLength === count) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const joined = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) throw new SkeinError('internal', 'frame parser lost count of its bytes');
      const part = chunk.subarray(0, count - filled);
      joined.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === chunk.byteLength) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.byteLength);
    }
    return joined;
  }
}
