import { SkeinError } from '../errors/skein-error.ts';
import { limits } from '../limits.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { decodeFrameBody, type Frame } from './frame.ts';

const lengthBytes = 4;

/**
 * Cuts a byte stream into frames. Feed it chunks of any size; it returns the frames they complete.
 * Memory use is bounded by about twice `maxFrameBytes` plus one chunk, in however small chunks a frame comes: the length is
 * checked before anything is kept.
 */
export class FrameParser {
  readonly #maxFrameBytes: number;
  readonly #maxHeaderBytes: number;
  readonly #received = new ChunkQueue();

  /** @param options bounds; default those of frames between engines */
  constructor(options: { readonly maxFrameBytes?: number; readonly maxHeaderBytes?: number } = {}) {
    this.#maxFrameBytes = options.maxFrameBytes ?? limits.maxFrameBytes;
    this.#maxHeaderBytes = options.maxHeaderBytes ?? limits.maxHeaderBytes;
  }

  /** Bytes received that do not make a whole frame yet. Not 0 at the end of a stream: it was cut short. */
  get pendingBytes(): number {
    return this.#received.byteLength;
  }

  /** Bytes of the frame that has begun, with its length; 0 where none has, or where its length is not known yet. */
  get begunFrameBytes(): number {
    const length = this.#received.peekUint32();
    return length === undefined ? 0 : lengthBytes + length;
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
    this.#received.push(chunk);
  }

  /** The next whole frame, or undefined when more bytes are needed. Throws as {@link push} does. */
  next(): Frame | undefined {
    const length = this.#received.peekUint32();
    if (length === undefined) return undefined;
    if (length > this.#maxFrameBytes) {
      throw new SkeinError('frame-too-large', `a frame of ${length} bytes is over the limit of ${this.#maxFrameBytes}`);
    }
    if (this.#received.byteLength < lengthBytes + length) return undefined;
    this.#received.take(lengthBytes);
    return decodeFrameBody(this.#received.take(length), this.#maxHeaderBytes);
  }

  /** Hands over the bytes not cut yet, in order, for a stream that goes on without frames being decoded. */
  takeRest(): Uint8Array[] {
    const rest: Uint8Array[] = [];
    for (let chunk = this.#received.shift(); chunk !== undefined; chunk = this.#received.shift()) rest.push(chunk);
    return rest;
  }
}
