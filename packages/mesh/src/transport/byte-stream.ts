import type { WaitOptions } from '../streams/wait.ts';

/** Bytes both ways with backpressure, on one stream of a connection, where a loss can be told from an end. */
export interface ByteStream {
  /** Aborts, with a SkeinError, when the stream is lost or aborted by either side; not at a clean end. */
  readonly lost: AbortSignal;
  /** Resolves when the stream is over in both directions, cleanly or not. */
  readonly closed: Promise<void>;
  /** Bytes written that the transport has not taken yet. */
  readonly unsentBytes: number;
  /**
   * Returns the next bytes; undefined at the remote's clean end. One read at a time.
   *
   * @throws SkeinError `peer-lost` when the stream was cut, `deadline-exceeded`, `aborted`
   */
  read(options?: WaitOptions): Promise<Uint8Array | undefined>;
  /** Queues bytes and waits until the transport has taken most of them. They go out even when the wait is aborted. */
  write(bytes: Uint8Array, options?: WaitOptions): Promise<void>;
  /** Ends our side after all written bytes. Throws when that can't be handed to the transport in time (default 30 s). */
  end(options?: WaitOptions): Promise<void>;
  /** Resets the stream; both ends' reads and writes fail from now on. Does nothing on one that is over. */
  abort(error?: Error): void;
}
