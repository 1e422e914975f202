import type { Frame, Method } from '@skein/protocol';

interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Longest wait, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** What moving models needs of a stream between peers; the mesh's `FrameStream` is one. Disposing it early aborts it. */
export interface TransferStream extends AsyncDisposable {
  /** The next frame; undefined at the remote's clean end. Throws what the remote's handler threw, `peer-lost`, `deadline-exceeded`. */
  read(options?: WaitOptions): Promise<Frame | undefined>;
  /** Waits while the remote is slower than we are. */
  write(header: object, payload?: Uint8Array, options?: WaitOptions): Promise<void>;
  /** Says that nothing more will be written. */
  end(options?: WaitOptions): Promise<void>;
}

/** Opens a stream of a method to another peer. */
export type OpenTransfer = (
  peer: string,
  method: Method,
  options: { readonly signal?: AbortSignal | undefined },
) => Promise<TransferStream>;
