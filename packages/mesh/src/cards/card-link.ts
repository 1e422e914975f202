import { asSkeinError, type Frame } from '@skein/protocol';

import type { FrameStream } from '../streams/frame-stream.ts';
import type { TokenBucket } from '../streams/token-bucket.ts';
import { pause } from '../streams/wait.ts';
import type { SignedCard } from './signed-card.ts';

/**
 * The card stream with one other member. At most one card of each member waits to be sent, always its newest: a slow
 * reader gets fewer versions, never a longer queue.
 */
export class CardLink {
  readonly peerId: string;
  readonly #stream: FrameStream;
  readonly #waiting = new Map<string, SignedCard>();
  #wake: (() => void) | undefined;
  readonly #over = new AbortController();
  readonly #pace: TokenBucket;

  /** @param pace pace of the member's cards, on whatever stream they come */
  constructor(peerId: string, stream: FrameStream, pace: TokenBucket) {
    this.peerId = peerId;
    this.#stream = stream;
    this.#pace = pace;
  }

  /** Sends a card when the stream has room for it. */
  offer(signed: SignedCard): void {
    const waiting = this.#waiting.get(signed.card.peer);
    if (waiting !== undefined && waiting.card.version >= signed.card.version) return;
    this.#waiting.set(signed.card.peer, signed);
    this.#wake?.();
  }

  /** Sends and receives until the stream is over. Resolves when it has ended, throws when it was lost or broken. */
  async run(onFrame: (frame: Frame) => Promise<void>): Promise<void> {
    const sending = this.#send();
    try {
      for (let frame = await this.#stream.read(); frame !== undefined; frame = await this.#stream.read()) {
        await onFrame(frame);
        const restMs = this.#pace.take(1, performance.now());
        // Frames that are here already would be read without others' getting a turn.
        await (restMs > 0 ? pause(restMs, this.#stream.lost) : new Promise(setImmediate));
      }
    } catch (error) {
      this.#stream.abort();
      throw error;
    } finally {
      this.#over.abort();
      this.#wake?.();
      await sending;
    }
  }

  async #send(): Promise<void> {
    try {
      while (!this.#over.signal.aborted) {
        for (const [peerId, { bytes, signature, certificate }] of this.#waiting) {
          this.#waiting.delete(peerId);
          await this.#stream.write({ type: 'card', signature, certificate }, bytes, { signal: this.#over.signal });
        }
        if (this.#waiting.size > 0 || this.#over.signal.aborted) continue;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } catch (error) {
      // Either the reader is through, or it meets the same loss and reports it.
      this.#stream.abort(asSkeinError(error));
    }
  }
}
