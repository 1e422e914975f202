/**
 * A two-way stream of bytes with backpressure in both directions: the wire without frames. A stream between peers and
 * the pipe to an engine can be joined through it, chunk by chunk.
 */
export interface ByteDuplex {
  /**
   * Bytes from the remote. Ends after its clean end; throws `peer-lost` when the stream is lost before that. Leaving
   * the loop early aborts the stream.
   */
  readonly readable: AsyncIterable<Uint8Array>;
  /**
   * Writes bytes. Resolves when the transport has taken enough for more to be written. Throws once the stream can't be
   * written to.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends our side after all written bytes. Reading goes on. */
  end(): Promise<void>;
  /** Drops everything at once, in both directions. The remote sees the stream as lost. */
  abort(error?: Error): void;
}
