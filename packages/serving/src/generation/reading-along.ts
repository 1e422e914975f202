import { isSkeinError } from '@skein/protocol';

import type { Route } from '../routing/route.ts';
import type { Transcript } from './transcript.ts';

export interface ReadingAlongComponents {
  readonly route: Route;
  readonly transcript: Pick<Transcript, 'promptTokens' | 'tokens'>;
  /** Has the replica read the prompt and the answer as they are at that moment. */
  readonly read: (signal: AbortSignal) => Promise<void>;
  /** Returns the milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** Unread tokens with which an answer moves: reading them takes about as long as the way there. */
const fewTokens = 8;
/** Time that it may take to read what is unread, before it is read along, in milliseconds. */
const mostUnreadMs = 300;
/** Tokens that are taken to be read in that time where nobody has measured it. */
const unmeasuredTokens = 64;
/** Fewest tokens whose reading tells the speed: that of fewer is the way there. */
const tellingTokens = 16;
/** Pause after a reading that others had no room for, in milliseconds; it doubles with each that follows. */
const firstPauseMs = 250;
const longestPauseMs = 8000;

/**
 * The reading of an answer by a replica that does not generate it, so that it can go on there with little left to read.
 * One reading at a time; disposing it ends the one under way. No failure gets out.
 */
export class ReadingAlong implements Disposable {
  readonly #components: ReadingAlongComponents;
  readonly #over = new AbortController();
  /** Tokens of the answer that were read; undefined before its prompt was. */
  #read: number | undefined;
  #unreadBefore = Infinity;
  #isReading = false;
  #msPerToken = mostUnreadMs / unmeasuredTokens;
  #pauseMs = firstPauseMs;
  #pausedUntilMs = -Infinity;

  constructor(components: ReadingAlongComponents) {
    this.#components = components;
  }

  get route(): Route {
    return this.#components.route;
  }

  /** Number of tokens, of prompt and answer, that would have to be read if the answer went on there now. */
  get unread(): number {
    const { promptTokens, tokens } = this.#components.transcript;
    return this.#read === undefined ? promptTokens + tokens : tokens - this.#read;
  }

  /** Whether the replica is of no use, since it has failed to read along. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** Whether it is time to read on, for a replica that should be able to take the answer over at any moment. */
  get isDue(): boolean {
    return this.#mayRead && this.unread * this.#msPerToken >= mostUnreadMs;
  }

  /** Whether another reading gains nothing: little is unread, or as much as before the last one. */
  get hasCaughtUp(): boolean {
    if (this.#isReading || this.#read === undefined) return false;
    return this.unread <= fewTokens || this.unread >= this.#unreadBefore;
  }

  get #mayRead(): boolean {
    return !this.#isReading && !this.isOver && this.#components.now() >= this.#pausedUntilMs;
  }

  /** Has the replica read what there is, unless it does so already or has to be left alone. Returns at once. */
  readOn(): void {
    if (!this.#mayRead) return;
    this.#isReading = true;
    void this.#readOnce().finally(() => (this.#isReading = false));
  }

  [Symbol.dispose](): void {
    this.#over.abort();
  }

  async #readOnce(): Promise<void> {
    const { transcript, read, now } = this.#components;
    const { tokens } = transcript;
    const { unread } = this;
    const beganMs = now();
    this.#unreadBefore = unread;
    try {
      await read(this.#over.signal);
      // Of the first reading nobody knows how much was in the cache before.
      if (this.#read !== undefined && unread >= tellingTokens) this.#msPerToken = (now() - beganMs) / unread;
      this.#read = tokens;
      this.#pauseMs = firstPauseMs;
    } catch (error) {
      if (!isSkeinError(error) || error.code !== 'overloaded') this.#over.abort();
      this.#pausedUntilMs = now() + this.#pauseMs;
      this.#pauseMs = Math.min(2 * this.#pauseMs, longestPauseMs);
    }
  }
}
