import { asSkeinError, onAbort, SkeinError } from '@skein/protocol';

import { throwIfAborted, waitSignal, type WaitOptions } from '../../streams/wait.ts';
import type { ByteStream } from '../byte-stream.ts';

const highWaterBytes = 256 * 1024;

/** An observer of the bytes that come to an end of a stream, before they can be read. */
export type ReceiptObserver = (bytes: number) => void;

/**
 * Makes two ends of a stream inside one process: for a member that calls itself, since libp2p doesn't dial its own host, and
 * for connections of the in-memory transport. Behaves as a stream between two members does, losses included.
 */
export function memoryStreamPair(
  onReceive: { readonly left?: ReceiptObserver; readonly right?: ReceiptObserver } = {},
): [MemoryStream, MemoryStream] {
  const left = new MemoryStream(onReceive.left);
  const right = new MemoryStream(onReceive.right);
  left.connect(right);
  right.connect(left);
  return [left, right];
}

/** One end of a stream inside one process. */
export class MemoryStream implements ByteStream {
  readonly #lost = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  readonly #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #remoteEnded = false;
  #weEnded = false;
  /** Set when reading failed for good. */
  #readError: SkeinError | undefined;
  readonly #onReceive: ReceiptObserver | undefined;
  #remote: MemoryStream | undefined;
  /** Resolves at anything that a waiting read or write may be interested in. */
  #changed = Promise.withResolvers<void>();

  constructor(onReceive?: ReceiptObserver) {
    this.#onReceive = onReceive;
  }

  connect(remote: MemoryStream): void {
    this.#remote = remote;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get closed(): Promise<void> {
    return this.#over.promise;
  }

  get unsentBytes(): number {
    return this.#remote?.receivedBytes ?? 0;
  }

  /** Whether it is over in both directions, cleanly or not. */
  get isOver(): boolean {
    return this.lost.aborted || (this.#weEnded && this.#remoteEnded);
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  async read(options: WaitOptions = {}): Promise<Uint8Array | undefined> {
    const signal = this.#received.length === 0 ? waitSignal(options) : options.signal;
    for (;;) {
      const chunk = this.#received.shift();
      if (chunk !== undefined) {
        this.#receivedBytes -= chunk.byteLength;
        this.#remote?.wake();
        return chunk;
      }
      if (this.#readError !== undefined) throw this.#readError;
      if (this.#remoteEnded) return undefined;
      await this.#change(signal);
    }
  }

  async write(bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    throwIfAborted(options.signal);
    throwIfAborted(this.lost);
    if (this.#weEnded) throw new SkeinError('peer-lost', 'the stream can no longer be written to');
    this.#remote?.receive(bytes);
    if (this.unsentBytes <= highWaterBytes) return;
    const signal = waitSignal(options);
    while (this.unsentBytes > highWaterBytes) {
      throwIfAborted(this.lost);
      await this.#change(signal);
    }
    throwIfAborted(this.lost);
  }

  async end(): Promise<void> {
    if (this.#weEnded || this.lost.aborted) return;
    this.#weEnded = true;
    this.#remote?.receiveEnd();
    if (this.#remoteEnded) this.#over.resolve();
  }

  abort(error: Error = new SkeinError('aborted', 'the stream was given up')): void {
    if (this.isOver) return;
    this.#received.length = 0;
    this.#receivedBytes = 0;
    this.#readError = asSkeinError(error, 'aborted');
    this.lose(this.#readError);
    this.#remote?.lose(lossCausedBy(undefined));
  }

  receive(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#received.push(bytes);
    this.#receivedBytes += bytes.byteLength;
    this.wake();
    this.#onReceive?.(bytes.byteLength);
  }

  receiveEnd(): void {
    this.#remoteEnded = true;
    if (this.#weEnded) this.#over.resolve();
    this.wake();
  }

  /** Marks the stream as lost. Earlier bytes can be read still. */
  lose(error: SkeinError): void {
    if (this.isOver) return;
    if (!this.#remoteEnded) this.#readError ??= error;
    this.#lost.abort(error);
    this.#over.resolve();
    this.wake();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #change(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    const changed = this.#changed.promise;
    const aborted = Promise.withResolvers<void>();
    using _abort = onAbort(signal, aborted.resolve);
    await Promise.race([changed, aborted.promise]);
  }
}

/** Makes the error `peer-lost` of a stream that was cut. */
export function lossCausedBy(cause: Error | undefined): SkeinError {
  return new SkeinError('peer-lost', 'the stream was lost before its end', { cause });
}
