import { SkeinError } from '../errors/skein-error.ts';
import { limits } from '../limits.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { decodeFrameBody, type Frame } from './frame.ts';

const lengthBytes = 4;
/** Length from which a body is assembled as it arrives: copying megabytes at its end would hold up everything else. */
const longBodyBytes = 256 * 1024;

/**
 * A parser that cuts a byte stream into frames. Feed it chunks of any size; it returns the frames that they complete.
 * It checks a frame's length before it keeps anything, and keeps at most about twice `maxFrameBytes` plus one chunk,
 * however small the chunks are.
 */
export class FrameParser {
  readonly #maxFrameBytes: number;
  readonly #maxHeaderBytes: number;
  readonly #received = new ChunkQueue();
  /** The body of a long frame, as far as it has arrived. */
  #body: { readonly bytes: Uint8Array; filled: number } | undefined;

  /** @param options bounds; default: those of frames between engines */
  constructor(options: { readonly maxFrameBytes?: number; readonly maxHeaderBytes?: number } = {}) {
    this.#maxFrameBytes = options.maxFrameBytes ?? limits.maxFrameBytes;
    this.#maxHeaderBytes = options.maxHeaderBytes ?? limits.maxHeaderBytes;
  }

  /**
   * Bytes received that do not make a whole frame yet. Anything but 0 at the end of a stream means that it was cut
   * short.
   */
  get pendingBytes(): number {
    const ofBody = this.#body === undefined ? 0 : lengthBytes + this.#body.filled;
    return ofBody + this.#received.byteLength;
  }

  /** Bytes of the frame that has begun, with its length; 0 where none has, or where its length is not known yet. */
  get begunFrameBytes(): number {
    const length = this.#body?.bytes.byteLength ?? this.#received.peekUint32();
    return length === undefined ? 0 : lengthBytes + length;
  }

  /**
   * Takes a chunk and returns all frames that it completes. The parser is unusable after an error.
   *
   * @throws SkeinError `frame-too-large` for a frame or header over its limit, `protocol-violation` for one that is
   * malformed
   */
  push(chunk: Uint8Array): Frame[] {
    this.feed(chunk);
    const frames: Frame[] = [];
    for (let frame = this.next(); frame !== undefined; frame = this.next()) frames.push(frame);
    return frames;
  }

  /** Takes a chunk without cutting it. Call {@link next} until it returns undefined before you feed more. */
  feed(chunk: Uint8Array): void {
    this.#received.push(chunk);
  }

  /**
   * Returns the next whole frame, or undefined when more bytes are needed.
   *
   * @throws SkeinError as {@link push} does
   */
  next(): Frame | undefined {
    if (this.#body !== undefined) return this.#nextLong(this.#body);
    const length = this.#received.peekUint32();
    if (length === undefined) return undefined;
    if (length > this.#maxFrameBytes) {
      throw new SkeinError('frame-too-large', `a frame of ${length} bytes is over the limit of ${this.#maxFrameBytes}`);
    }
    if (this.#received.byteLength < lengthBytes + length) {
      if (length < longBodyBytes) return undefined;
      this.#received.take(lengthBytes);
      // The system gives only the pages that are written to.
      this.#body = { bytes: new Uint8Array(length), filled: 0 };
      return this.#nextLong(this.#body);
    }
    this.#received.take(lengthBytes);
    return decodeFrameBody(this.#received.take(length), this.#maxHeaderBytes);
  }

  #begunBody(): Uint8Array[] {
    if (this.#body === undefined) return [];
    const { bytes, filled } = this.#body;
    const length = new Uint8Array(lengthBytes);
    new DataView(length.buffer).setUint32(0, bytes.byteLength, true);
    return [length, bytes.subarray(0, filled)];
  }

  #nextLong(body: { readonly bytes: Uint8Array; filled: number }): Frame | undefined {
    const { bytes } = body;
    const more = this.#received.take(Math.min(this.#received.byteLength, bytes.byteLength - body.filled));
    bytes.set(more, body.filled);
    body.filled += more.byteLength;
    if (body.filled < bytes.byteLength) return undefined;
    this.#body = undefined;
    return decodeFrameBody(bytes, this.#maxHeaderBytes);
  }

  /**
   * Hands over the bytes behind the last whole frame, in order, for a stream whose further frames nobody decodes here.
   */
  takeRest(): Uint8Array[] {
    const rest: Uint8Array[] = this.#begunBody();
    this.#body = undefined;
    for (let chunk = this.#received.shift(); chunk !== undefined; chunk = this.#received.shift()) rest.push(chunk);
    return rest;
  }
}
