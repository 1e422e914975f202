import { asSkeinError, type Frame } from '@skein/protocol';

import type { FrameStream } from '../streams/frame-stream.ts';
import type { TokenBucket } from '../streams/token-bucket.ts';
import { pause } from '../streams/wait.ts';
import { listMembers, membersListed, type MemberDigest } from './firsthand.ts';
import type { SignedCard } from './signed-card.ts';

/**
 * The card stream with one other member. At most one card of each member waits to be sent, always its newest: a slow
 * reader gets fewer versions, never a longer queue.
 */
export class CardLink {
  readonly peerId: string;
  readonly #stream: FrameStream;
  readonly #waiting = new Map<string, SignedCard>();
  /** Members whose cards the other end gets from themselves, by its own word: nobody else can keep a card from it. */
  #getsFirsthand: ReadonlySet<MemberDigest> = new Set();
  #broughtOwnCard = false;
  /** Members whose cards we get from themselves, and what of that the other end was told last. */
  #firsthand = listMembers([]);
  #saidFirsthand = this.#firsthand;
  #wake: (() => void) | undefined;
  readonly #over = new AbortController();
  readonly #pace: TokenBucket;

  /** @param pace pace of the member's cards, on whatever stream they come */
  constructor(peerId: string, stream: FrameStream, pace: TokenBucket) {
    this.peerId = peerId;
    this.#stream = stream;
    this.#pace = pace;
  }

  /** Whether the other end's own card has come over this stream. */
  get broughtOwnCard(): boolean {
    return this.#broughtOwnCard;
  }

  /** Notes that the other end's own card has come over this stream. */
  noteOwnCard(): void {
    this.#broughtOwnCard = true;
  }

  /** Tells whether the other end has said that it gets a member's card from that member itself. */
  getsFirsthand(member: MemberDigest): boolean {
    return this.#getsFirsthand.has(member);
  }

  /** Notes which members' cards the other end gets from themselves. */
  hears(firsthand: Uint8Array): void {
    this.#getsFirsthand = membersListed(firsthand);
  }

  /** Tells the other end, with the next card and unless it knows, which members' cards we get from themselves. */
  say(firsthand: Uint8Array): void {
    this.#firsthand = firsthand;
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
          const firsthand = this.#firsthand;
          const isNews = Buffer.compare(firsthand, this.#saidFirsthand) !== 0;
          this.#saidFirsthand = firsthand;
          const header = { type: 'card', signature, certificate, ...(isNews && { firsthand }) };
          await this.#stream.write(header, bytes, { signal: this.#over.signal });
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
