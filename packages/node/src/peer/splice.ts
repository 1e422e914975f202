import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import type { ByteDuplex } from '@skein/mesh';
import { isSkeinError, limits, onAbort, SkeinError } from '@skein/protocol';

const lengthBytes = 4;
/** Longest time for a neighbour to let go of a stream that was ended on purpose, in milliseconds. */
const lingerMs = 1000;

/** Tells whether a ring is let go of because somebody took a stage of it down, rather than because one was lost. */
export function isOnPurpose(reason: unknown): boolean {
  return isSkeinError(reason) && reason.details['onPurpose'] === true;
}

/**
 * The engine's pipe of the ring, joined to one stream in each direction, and to others when those are lost. It copies
 * frames without decoding them, and leaves none half written: the next stream goes on with a whole one.
 */
export class RingPipe {
  readonly #pipe: Duplex;
  /** Frames that the engine has written, as far as they were read. */
  readonly #written = new FrameBounds();

  constructor(pipe: Duplex) {
    this.#pipe = pipe;
  }

  /**
   * Copies the frames of a stream to the engine, at its pace. Returns when the stream has ended, as the stage before
   * ends it on purpose; throws when it is lost. Aborting the signal gives the stream up: where {@link isOnPurpose} says so
   * of the reason, with an end instead of a loss.
   *
   * @throws SkeinError `frame-too-large` for a frame that is longer than any may be
   */
  async feed(stream: ByteDuplex, signal: AbortSignal): Promise<void> {
    using _leaving = leaving(stream, signal);
    const bounds = new FrameBounds();
    /** The beginning of a frame. */
    let held: Uint8Array[] = [];
    for await (const chunk of stream.readable) {
      if (signal.aborted) continue;
      const end = bounds.lastEnd(chunk);
      if (end > 0) {
        const isFull = this.#write([...held, chunk.subarray(0, end)]);
        held = [];
        if (isFull) await once(this.#pipe, 'drain', { signal });
      }
      if (end < chunk.byteLength) held.push(chunk.subarray(end));
    }
  }

  /**
   * Copies the engine's frames into a stream, at its pace. Nothing comes back on that stream, so its end is the news that
   * the next stage is gone. Returns when the engine has closed its pipe; throws when the stream is over: an error of which
   * {@link isOnPurpose} is true where the next stage has ended it. Aborting the signal gives the stream up, as for
   * {@link feed}.
   */
  async send(stream: ByteDuplex, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    using _over = onAbort(signal, () => over.abort());
    using _leaving = leaving(stream, signal);
    const watch = async (): Promise<never> => {
      for await (const _chunk of stream.readable) {
        throw new SkeinError('protocol-violation', 'the next stage has sent something back on the ring');
      }
      const details = { onPurpose: true };
      throw new SkeinError('peer-lost', 'the next stage has ended the ring stream', { details });
    };
    try {
      const watching = watch();
      await Promise.race([this.#copyTo(stream, over.signal), watching]);
      if (signal.aborted) await watching;
    } finally {
      over.abort();
      stream.abort();
    }
  }

  async #copyTo(stream: ByteDuplex, over: AbortSignal): Promise<void> {
    // The rest of a frame whose beginning went to an earlier stream.
    let skips = this.#written.isInside;
    while (!over.aborted) {
      const chunk = this.#pipe.read() as Uint8Array | null;
      if (chunk === null) {
        if (this.#pipe.readableEnded || this.#pipe.destroyed) return;
        await untilReadable(this.#pipe, over);
        continue;
      }
      const from = skips ? this.#written.advance(chunk, 0) : 0;
      skips &&= this.#written.isInside;
      this.#written.lastEnd(chunk.subarray(from));
      if (from < chunk.byteLength) await stream.write(chunk.subarray(from));
    }
  }

  /** Writes chunks at once. Returns whether the pipe wants no more for now. */
  #write(chunks: readonly Uint8Array[]): boolean {
    this.#pipe.cork();
    let wantsMore = true;
    for (const chunk of chunks) wantsMore = this.#pipe.write(chunk);
    this.#pipe.uncork();
    return !wantsMore;
  }
}

/** Gives a stream up when a signal aborts: ends it where that is on purpose, for the neighbour to tell it from a loss. */
function leaving(stream: ByteDuplex, signal: AbortSignal): Disposable {
  let lingering: NodeJS.Timeout | undefined;
  const abort = onAbort(signal, () => {
    if (!isOnPurpose(signal.reason)) return stream.abort();
    lingering = setTimeout(() => stream.abort(), lingerMs);
    // One that can't be ended is lost already.
    stream.end().catch(() => stream.abort());
  });
  return {
    [Symbol.dispose]() {
      abort[Symbol.dispose]();
      clearTimeout(lingering);
    },
  };
}

/** The bounds of frames in a stream of bytes: each begins with its length. */
class FrameBounds {
  readonly #length = new Uint8Array(lengthBytes);
  #lengthRead = 0;
  #left = 0;

  /** Whether the bytes so far end within a frame. */
  get isInside(): boolean {
    return this.#lengthRead > 0 || this.#left > 0;
  }

  /** Takes bytes of a chunk, from an index up to the end of the frame or of the chunk. Returns the index behind them. */
  advance(chunk: Uint8Array, from: number): number {
    let index = from;
    while (this.#left === 0 && index < chunk.byteLength) {
      const bytes = Math.min(lengthBytes - this.#lengthRead, chunk.byteLength - index);
      this.#length.set(chunk.subarray(index, index + bytes), this.#lengthRead);
      this.#lengthRead += bytes;
      index += bytes;
      if (this.#lengthRead < lengthBytes) continue;
      this.#lengthRead = 0;
      this.#left = new DataView(this.#length.buffer).getUint32(0, true);
      if (this.#left > limits.maxFrameBytes) {
        throw new SkeinError('frame-too-large', `a frame of ${this.#left} bytes came on the ring`);
      }
      if (this.#left === 0) return index;
    }
    const bytes = Math.min(this.#left, chunk.byteLength - index);
    this.#left -= bytes;
    return index + bytes;
  }

  /** Takes a chunk. Returns the index behind the last frame that ends in it, 0 where none does. */
  lastEnd(chunk: Uint8Array): number {
    let end = 0;
    for (let index = 0; index < chunk.byteLength;) {
      index = this.advance(chunk, index);
      if (!this.isInside) end = index;
    }
    return end;
  }
}

/** Waits until there is something to read, or never will be. */
async function untilReadable(pipe: Duplex, over: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const settle = (): void => resolve();
  const events = ['readable', 'end', 'close', 'error'] as const;
  for (const event of events) pipe.on(event, settle);
  using _abort = onAbort(over, settle);
  try {
    await promise;
  } finally {
    for (const event of events) pipe.off(event, settle);
  }
}
