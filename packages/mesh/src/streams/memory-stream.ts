import { asSkeinError, onAbort, SkeinError } from '@skein/protocol';

import type { ByteChannel } from './byte-channel.ts';
import { throwIfAborted, waitSignal, type WaitOptions } from './wait.ts';

const highWaterBytes = 256 * 1024;

/**
 * Two ends of a stream inside one process, for a member that calls itself: libp2p doesn't dial its own host. Behaves as a
 * stream between two members does, losses included.
 */
export function memoryStreamPair(): [ByteChannel, ByteChannel] {
  const left = new MemoryStream();
  const right = new MemoryStream();
  left.connect(right);
  right.connect(left);
  return [left, right];
}

class MemoryStream implements ByteChannel {
  readonly #lost = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  readonly #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #remoteEnded = false;
  #weEnded = false;
  #remote: MemoryStream | undefined;
  /** Woken by anything that a waiting read or write may be interested in. */
  #changed = Promise.withResolvers<void>();

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
    while (this.unsentBytes > highWaterBytes) await this.#change(signal);
    throwIfAborted(this.lost);
  }

  async end(): Promise<void> {
    if (this.#weEnded || this.lost.aborted) return;
    this.#weEnded = true;
    this.#remote?.receiveEnd();
    if (this.#remoteEnded) this.#over.resolve();
  }

  abort(error: Error = new SkeinError('aborted', 'the stream was given up')): void {
    this.#received.length = 0;
    this.#receivedBytes = 0;
    this.lose(asSkeinError(error, 'aborted'));
    this.#remote?.lose(new SkeinError('peer-lost', 'the stream was lost before its end'));
  }

  receive(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#received.push(bytes);
    this.#receivedBytes += bytes.byteLength;
    this.wake();
  }

  receiveEnd(): void {
    this.#remoteEnded = true;
    if (this.#weEnded) this.#over.resolve();
    this.wake();
  }

  lose(error: SkeinError): void {
    if (this.#weEnded && this.#remoteEnded) return;
    this.#lost.abort(error);
    this.#over.resolve();
    this.wake();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #change(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(this.lost);
    throwIfAborted(signal);
    const changed = this.#changed.promise;
    const aborted = Promise.withResolvers<void>();
    using _abort = onAbort(signal, aborted.resolve);
    await Promise.race([changed, aborted.promise]);
  }
}
