import {
  asSkeinError,
  encodeFrame,
  encodeFrameHead,
  FrameParser,
  fromWireError,
  parseHeader,
  SkeinError,
  streamErrorSchema,
  toWireError,
  type Frame,
} from '@skein/protocol';

import type { ByteStream } from '../transport/byte-stream.ts';
import type { ByteDuplex } from './byte-duplex.ts';
import type { InboundBudget } from './inbound-budget.ts';
import type { TokenBucket } from './token-bucket.ts';
import type { TrafficMeter } from './traffic.ts';
import { pause, waitSignal, type WaitOptions } from './wait.ts';

/** Bounds on the bytes of one stream, shared with the remote's other streams. */
export interface StreamLimits {
  readonly held: InboundBudget;
  /** Rate of the remote. Left out for bulk, which the network and its readers bound. */
  readonly pace: TokenBucket | undefined;
}

export interface FrameStreamOptions {
  /** Longest frame that the remote may send. */
  readonly maxFrameBytes: number;
  /** Longest header inside it. Default: that of frames between engines. */
  readonly maxHeaderBytes?: number;
  /** Longest wait for the remote's first frame where the reader sets none, in milliseconds. Default: no bound. */
  readonly firstReadTimeoutMs?: number;
  /** Bounds on the bytes that the remote may send over this and its other streams. Default: none. */
  readonly limits?: StreamLimits;
  /** Counts what is read and written. */
  readonly meter?: TrafficMeter | undefined;
}

/** Length from which a frame counts, in bytes: the number of streams bounds shorter ones. */
const largeFrameBytes = 64 * 1024;
/** Largest payload that is copied, in bytes: megabytes at once would hold up everything else. */
const mostCopiedBytes = 256 * 1024;

/**
 * Frames over one stream of one method. Reads are pulled and writes awaited, so neither end can make the other queue
 * more than about a mebibyte. Iterating reads to the end; leaving the loop early aborts the stream. Disposing ends our
 * side when the remote has ended its own, and aborts otherwise.
 */
export class FrameStream implements AsyncIterable<Frame>, AsyncDisposable {
  readonly #bytes: ByteStream;
  readonly #parser: FrameParser;
  #firstReadTimeoutMs: number | undefined;
  readonly #limits: StreamLimits | undefined;
  readonly #meter: TrafficMeter | undefined;
  /** Room for the frame that is being read, and for the one that was read last. */
  #room: Disposable | undefined;
  #lastRoom: Disposable | undefined;
  /** Fault of the remote's bytes, after which the start of the next frame is unknown. */
  #broken: SkeinError | undefined;
  #sawEnd = false;
  #detached = false;

  constructor(bytes: ByteStream, options: FrameStreamOptions) {
    this.#bytes = bytes;
    this.#parser = new FrameParser(options);
    this.#firstReadTimeoutMs = options.firstReadTimeoutMs;
    this.#limits = options.limits;
    this.#meter = options.meter;
    if (options.limits !== undefined) void bytes.closed.then(() => this.#releaseAll());
  }

  /** Aborts, with a SkeinError as reason, when the stream is lost or aborted by either side; not at a clean end. */
  get lost(): AbortSignal {
    return this.#bytes.lost;
  }

  /** Resolves when the stream is over in both directions, cleanly or not. */
  get closed(): Promise<void> {
    return this.#bytes.closed;
  }

  /** Bytes written that the transport has not taken yet. */
  get unsentBytes(): number {
    return this.#bytes.unsentBytes;
  }

  /**
   * Reads the next frame; undefined at the remote's clean end. One read at a time; one that is aborted or times out
   * loses nothing.
   *
   * @throws SkeinError the remote's error when it sent one; `peer-lost` when the stream was lost; `deadline-exceeded`;
   * `aborted`; `frame-too-large` and `protocol-violation`, after which nothing more can be read, only written
   */
  async read(options: WaitOptions = {}): Promise<Frame | undefined> {
    this.#assertFramed();
    // A reader that reads on is done with the frame before.
    this.#lastRoom?.[Symbol.dispose]();
    // One deadline for the whole frame, however many chunks it takes.
    let signal: AbortSignal | undefined;
    for (;;) {
      const frame = this.#nextFrame();
      if (frame !== undefined) {
        this.#lastRoom = this.#room;
        this.#room = undefined;
        return frame;
      }
      signal ??= waitSignal({ timeoutMs: this.#firstReadTimeoutMs, ...options });
      if (this.#limits !== undefined) await this.#makeRoom(this.#limits.held, signal);
      const chunk = await this.#read({ signal });
      if (chunk === undefined) {
        this.#sawEnd = true;
        if (this.#parser.pendingBytes === 0) return undefined;
        throw new SkeinError('protocol-violation', 'the stream ended inside a frame');
      }
      this.#firstReadTimeoutMs = undefined;
      this.#parser.feed(chunk);
      const restMs = this.#limits?.pace?.take(chunk.byteLength, performance.now()) ?? 0;
      if (restMs > 0) await pause(restMs, signal ?? this.lost);
    }
  }

  /**
   * Sends a frame and waits while the remote is slower than we are. The payload may be reused after that, unless it is
   * larger than 256 KiB and so not copied: that one must not change any more. An aborted wait leaves the frame on its
   * way.
   *
   * @throws SkeinError `peer-lost` when the stream was lost, `deadline-exceeded`, `aborted`
   */
  async write(header: object, payload?: Uint8Array, options: WaitOptions = {}): Promise<void> {
    this.#assertFramed();
    if (payload === undefined || payload.byteLength <= mostCopiedBytes) {
      return await this.#write(encodeFrame(header, payload), options);
    }
    // Both are queued at once, so that no other frame gets between them.
    const head = this.#write(encodeFrameHead(header, payload.byteLength), options);
    await Promise.all([head, this.#write(payload, options)]);
  }

  /** Sends whole frames that were encoded elsewhere, as {@link write} does. The bytes must not change any more. */
  async writeFrames(frames: Uint8Array, options: WaitOptions = {}): Promise<void> {
    this.#assertFramed();
    await this.#bytes.write(frames, options);
  }

  /** Sends the reason of a failure, then ends our side. Never throws: a remote that is gone needs no explanation. */
  async fail(error: unknown): Promise<void> {
    const bounds = { timeoutMs: 5000 };
    try {
      await this.write({ type: 'stream-error', error: toWireError(error) }, undefined, bounds);
      await this.end(bounds);
    } catch {
      this.abort();
    }
  }

  /** Ends our side after all written frames. Reading goes on. Gives up after 30 s by default. */
  async end(options: WaitOptions = {}): Promise<void> {
    await this.#bytes.end(options);
  }

  /** Drops the stream at once, in both directions. The remote sees `peer-lost`. */
  abort(error?: Error): void {
    this.#bytes.abort(error);
  }

  /**
   * Detaches the bytes, starting with those received but not read yet, for going on without frames. This object can't
   * read or write after that; `end`, `abort` and `lost` keep working.
   */
  detach(): ByteDuplex {
    this.#assertFramed();
    this.#detached = true;
    const received = this.#parser.takeRest();
    return {
      readable: this.#readToEnd(received),
      write: async (chunk) => await this.#write(chunk, {}),
      end: async () => await this.#bytes.end(),
      abort: (error) => this.#bytes.abort(error),
    };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void, undefined> {
    let left = false;
    try {
      for (let frame = await this.read(); frame !== undefined; frame = await this.read()) {
        left = true;
        yield frame;
        left = false;
      }
    } finally {
      // Not after a failed read: whoever serves the stream may want to say why it gives up.
      if (left) this.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#sawEnd) return this.abort();
    return await this.end().catch(() => this.abort());
  }

  async *#readToEnd(received: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
    let ended = false;
    try {
      yield* received;
      for (let chunk = await this.#read({}); chunk !== undefined; chunk = await this.#read({})) yield chunk;
      ended = true;
    } finally {
      if (!ended) this.#bytes.abort();
    }
  }

  async #read(options: WaitOptions): Promise<Uint8Array | undefined> {
    const chunk = await this.#bytes.read(options);
    if (chunk !== undefined) this.#meter?.received(chunk.byteLength);
    return chunk;
  }

  /** Writes bytes. Counts them before the wait: queued bytes go out even when that is aborted. */
  async #write(bytes: Uint8Array, options: WaitOptions): Promise<void> {
    const written = this.#bytes.write(bytes, options);
    if (!this.lost.aborted) this.#meter?.sent(bytes.byteLength);
    await written;
  }

  #assertFramed(): void {
    if (this.#detached) throw new SkeinError('internal', 'the stream was detached from its frames');
  }

  /** Waits for room before the rest of a large frame is taken from the remote. */
  async #makeRoom(held: InboundBudget, signal: AbortSignal | undefined): Promise<void> {
    const bytes = this.#parser.begunFrameBytes;
    if (this.#room !== undefined || bytes <= largeFrameBytes) return;
    const over = signal === undefined ? this.lost : AbortSignal.any([signal, this.lost]);
    this.#room = await held.reserve(bytes, over);
    if (this.lost.aborted) this.#releaseAll();
  }

  #releaseAll(): void {
    this.#room?.[Symbol.dispose]();
    this.#lastRoom?.[Symbol.dispose]();
  }

  #nextFrame(): Frame | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    let frame: Frame | undefined;
    try {
      frame = this.#parser.next();
    } catch (error) {
      this.#broken = asSkeinError(error, 'protocol-violation');
      throw this.#broken;
    }
    if (isStreamError(frame?.header)) throw fromWireError(parseHeader(streamErrorSchema, frame?.header).error);
    return frame;
  }
}

/**
 * Tells whether a header is a stream error. Reads its type alone: this runs for every frame, and almost none is an
 * error.
 */
function isStreamError(header: unknown): boolean {
  return typeof header === 'object' && header !== null && 'type' in header && header.type === 'stream-error';
}
