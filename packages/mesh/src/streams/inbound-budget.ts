import { onAbort } from '@skein/protocol';

import { throwIfAborted } from './wait.ts';

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * A bound on the large frames of one remote, over all its streams: those that have begun to arrive, and those that are
 * being worked on. A frame that finds no room waits until others are done, and its sender with it. Alone, any frame has
 * room.
 */
export class InboundBudget {
  readonly #maxBytes: number;
  readonly #waiting: Waiting[] = [];
  #heldBytes = 0;

  constructor(options: { readonly maxBytes: number }) {
    this.#maxBytes = options.maxBytes;
  }

  /**
   * Reserves room. Resolves once there is some, which is used until the returned object is disposed. First come, first
   * served.
   */
  async reserve(bytes: number, signal?: AbortSignal): Promise<Disposable> {
    throwIfAborted(signal);
    if (this.#waiting.length > 0 || !this.#hasRoom(bytes)) await this.#wait(bytes, signal);
    else this.#heldBytes += bytes;
    let isReleased = false;
    return {
      [Symbol.dispose]: () => {
        if (isReleased) return;
        isReleased = true;
        this.#heldBytes -= bytes;
        this.#admitWaiting();
      },
    };
  }

  async #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>();
    const waiting = { bytes, admit: turn.resolve };
    this.#waiting.push(waiting);
    using _abort = onAbort(signal, turn.resolve);
    await turn.promise;
    const index = this.#waiting.indexOf(waiting);
    // Not admitted, so it was aborted. Those behind it may be smaller.
    if (index === -1) return;
    this.#waiting.splice(index, 1);
    this.#admitWaiting();
    throwIfAborted(signal);
  }

  #hasRoom(bytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + bytes <= this.#maxBytes;
  }

  #admitWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#hasRoom(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#heldBytes += next.bytes;
      next.admit();
    }
  }
}
