import type { Stream } from '@libp2p/interface';
import { asSkeinError, ChunkQueue, onAbort, SkeinError } from '@skein/protocol';

import { throwIfAborted, waitSignal, type WaitOptions } from '../../streams/wait.ts';
import type { ByteStream } from '../byte-stream.ts';

// Above the high mark the remote is paused, below the low one resumed. The Yamux window (256 KiB) comes on top.
const readHighWaterBytes = 1024 * 1024;
const readLowWaterBytes = 256 * 1024;
// A writer goes on once this little is queued: one window's worth, so that the link never idles between two writes.
const writeLowWaterBytes = 256 * 1024;
const defaultEndTimeoutMs = 30_000;

/**
 * A libp2p stream made safe to use: pull reads and awaited writes with real backpressure, and a loss that can be told
 * from an end. No other file knows the traps of libp2p's stream events.
 */
export class Libp2pStream implements ByteStream {
  readonly #stream: Stream;
  readonly #received = new ChunkQueue();
  #wakeReader: (() => void) | undefined;
  #paused = false;
  #flowScheduled = false;
  #remoteEnded: boolean;
  #weEnded = false;
  #closed = false;
  #readDone = false;
  #readError: SkeinError | undefined;
  readonly #lost = new AbortController();
  readonly #over = Promise.withResolvers<void>();

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.addEventListener('message', (event) => {
      const data = event.data;
      this.#take(data instanceof Uint8Array ? [data] : data);
    });
    stream.addEventListener('remoteCloseWrite', () => {
      this.#remoteEnded = true;
      this.#settleRead();
    });
    stream.addEventListener('end', () => this.#settleRead());
    stream.addEventListener('close', (event) => this.#onClose(event.error));
    // The remote may have ended, or the stream be over, before anyone listened.
    this.#remoteEnded = stream.remoteWriteStatus === 'closed' && stream.status === 'open';
    if (stream.status !== 'open' && stream.status !== 'closing') this.#onClose(undefined);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get closed(): Promise<void> {
    return this.#over.promise;
  }

  get unsentBytes(): number {
    return this.#stream.writeBufferLength;
  }

  async read(options: WaitOptions = {}): Promise<Uint8Array | undefined> {
    const signal = this.#received.byteLength === 0 ? waitSignal(options) : options.signal;
    for (;;) {
      const chunk = this.#received.shift();
      if (chunk !== undefined) {
        this.#flow();
        return chunk;
      }
      if (this.#readDone) {
        if (this.#readError !== undefined) throw this.#readError;
        return undefined;
      }
      throwIfAborted(signal);
      if (this.#wakeReader !== undefined) throw new SkeinError('internal', 'two reads of one stream at the same time');
      const wait = Promise.withResolvers<void>();
      this.#wakeReader = wait.resolve;
      using _abort = onAbort(signal, wait.resolve);
      await wait.promise;
      this.#wakeReader = undefined;
    }
  }

  async write(bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    throwIfAborted(options.signal);
    throwIfAborted(this.lost);
    try {
      this.#stream.send(bytes);
    } catch (error) {
      throw new SkeinError('peer-lost', 'the stream can no longer be written to', { cause: error });
    }
    if (this.unsentBytes > writeLowWaterBytes) await this.#drained(waitSignal(options));
  }

  async end(options: WaitOptions = {}): Promise<void> {
    if (this.#closed || this.#stream.writeStatus !== 'writable') return;
    const signal = waitSignal({ timeoutMs: defaultEndTimeoutMs, ...options });
    this.#weEnded = true;
    try {
      await this.#stream.close(signal === undefined ? {} : { signal });
    } catch (error) {
      throwIfAborted(this.lost);
      throwIfAborted(signal);
      throw new SkeinError('peer-lost', 'the stream was lost while it was being ended', { cause: error });
    }
  }

  abort(error: Error = new SkeinError('aborted', 'the stream was given up')): void {
    if (this.#closed) return;
    this.#readError = asSkeinError(error, 'aborted');
    this.#received.clear();
    this.#lost.abort(this.#readError);
    this.#stream.abort(error);
  }

  /**
   * Waits until the stream has room. libp2p fires `drain` on every stream of a connection, so one event says little
   * about this stream: it looks again.
   */
  async #drained(signal: AbortSignal | undefined): Promise<void> {
    let event = Promise.withResolvers<void>();
    const listener = (): void => event.resolve();
    const events = ['drain', 'idle', 'close'] as const;
    for (const name of events) this.#stream.addEventListener(name, listener);
    using _abort = onAbort(signal, listener);
    try {
      while (this.unsentBytes > writeLowWaterBytes && !this.#closed) {
        throwIfAborted(signal);
        event = Promise.withResolvers<void>();
        await event.promise;
      }
    } finally {
      for (const name of events) this.#stream.removeEventListener(name, listener);
    }
    throwIfAborted(this.lost);
  }

  #take(chunks: Iterable<Uint8Array>): void {
    if (this.#readError !== undefined) return;
    for (const chunk of chunks) this.#received.push(chunk);
    this.#wakeReader?.();
    this.#flow();
    this.#settleRead();
  }

  /**
   * Pauses or resumes from a microtask, never inside the `message` event: libp2p's Yamux would go on granting window to
   * a stream paused there, and reset it once 4 MiB have piled up.
   */
  #flow(): void {
    const wantsChange = this.#paused
      ? this.#received.byteLength <= readLowWaterBytes || this.#closed
      : this.#received.byteLength > readHighWaterBytes;
    if (!wantsChange || this.#flowScheduled) return;
    this.#flowScheduled = true;
    queueMicrotask(() => {
      this.#flowScheduled = false;
      try {
        if (!this.#paused && this.#received.byteLength > readHighWaterBytes && !this.#closed) {
          if (this.#stream.readStatus !== 'readable') return;
          this.#paused = true;
          this.#stream.pause();
        } else if (this.#paused && (this.#received.byteLength <= readLowWaterBytes || this.#closed)) {
          this.#paused = false;
          if (this.#stream.readStatus === 'paused') this.#stream.resume();
        }
      } catch {
        // resume() throws when the connection closed this instant; its `close` event tells the reader.
      }
      this.#settleRead();
    });
  }

  #onClose(cause: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    // A peer that dies closes its streams without an error; only its end-of-stream mark tells an end from a loss.
    const loss = new SkeinError('peer-lost', 'the stream was lost before its end', { cause });
    const dropped = this.#paused && this.#stream.status === 'aborted';
    if (!this.#remoteEnded || dropped) this.#readError ??= loss;
    if (!(this.#remoteEnded && this.#weEnded)) this.#lost.abort(this.#readError ?? loss);
    this.#flow();
    this.#settleRead();
    this.#over.resolve();
  }

  /** Settles waiting reads once the remote has ended or is gone, and all its bytes have been taken over. */
  #settleRead(): void {
    if (this.#readDone || !(this.#remoteEnded || this.#closed)) return;
    const undelivered = this.#stream.readBufferLength > 0 && this.#stream.readStatus !== 'closed';
    if (undelivered) return;
    this.#readDone = true;
    this.#wakeReader?.();
  }
}
