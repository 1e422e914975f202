import { isSkeinError } from '@skein/protocol';

import type { Route } from '../routing/route.ts';
import type { Transcript } from './transcript.ts';

/** The end of a reading, and how its replica tells of it, as far as it does. */
export interface ReadingOptions {
  readonly signal: AbortSignal;
  /** To be called when the replica begins to read, with the number of tokens that were in its cache before. */
  readonly onBegin: (cachedTokens: number) => void;
  /** To be called when it has read on. */
  readonly onProgress: () => void;
}

export interface ReadingAlongComponents {
  readonly route: Route;
  readonly transcript: Pick<Transcript, 'promptTokens' | 'tokens'>;
  /** Has the replica read the prompt and the answer as they are at that moment. */
  readonly read: (options: ReadingOptions) => Promise<void>;
  /** Returns the milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** Unread tokens with which an answer moves: reading them takes about as long as the way there. */
const fewTokens = 8;
/** Time to read what is unread with which an answer moves, where it was measured, in milliseconds: no reader minds it. */
const shortMs = 250;
/** Time that it may take to read what is unread, before it is read along, in milliseconds. */
const mostUnreadMs = 300;
/** Tokens that are taken to be read in that time where nobody has measured it. */
const unmeasuredTokens = 64;
/** Fewest tokens whose reading tells the speed: that of fewer is the way there. */
const tellingTokens = 16;
/** Readings in a row that have gained nothing, after which none will. */
const vainReadings = 2;
/** Pause after a reading that others had no room for, in milliseconds; it doubles with each that follows. */
const firstPauseMs = 250;
const longestPauseMs = 8000;
/** Errors after which what has been read is kept, and the rest may be read later. */
const passing: readonly string[] = ['overloaded', 'deadline-exceeded'];

/**
 * The reading of an answer by a replica that does not generate it, so that it can go on there with little left to read.
 * One reading at a time; disposing it ends the one under way. No failure gets out.
 */
export class ReadingAlong implements Disposable {
  readonly #components: ReadingAlongComponents;
  readonly #over = new AbortController();
  /** Tokens of the answer that were read; undefined before its prompt was. */
  #read: number | undefined;
  #isReading = false;
  /** Undefined where nobody has measured it. */
  #msPerToken: number | undefined;
  #vainReadings = 0;
  #isOutrun = false;
  #pauseMs = firstPauseMs;
  #pausedUntilMs = -Infinity;
  #progressAtMs: number;

  constructor(components: ReadingAlongComponents) {
    this.#components = components;
    this.#progressAtMs = components.now();
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
    const { unread } = this;
    const ms = unread * (this.#msPerToken ?? mostUnreadMs / unmeasuredTokens);
    return this.#mayRead && ms >= mostUnreadMs;
  }

  /**
   * Whether another reading gains nothing: what is unread is read in a moment, or as much comes while it is read, or as
   * much was unread before the last ones.
   */
  get hasCaughtUp(): boolean {
    if (this.#isReading || this.#read === undefined) return false;
    const { unread } = this;
    if (unread <= fewTokens || this.#isOutrun || this.#vainReadings >= vainReadings) return true;
    return this.#msPerToken !== undefined && unread * this.#msPerToken <= shortMs;
  }

  /** When the replica has last read on, on the clock of {@link ReadingAlongComponents.now}; at first when this was made. */
  get progressAtMs(): number {
    return this.#progressAtMs;
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
    const { promptTokens, tokens } = transcript;
    const unreadBefore = this.unread;
    const isFirst = this.#read === undefined;
    // A lead of before does not say when it begins, and how much it has to read: of its first reading nobody knows.
    let [fromMs, fromTokens, toRead] = [now(), tokens, isFirst ? undefined : unreadBefore];
    const onBegin = (cachedTokens: number): void => {
      [fromMs, fromTokens, toRead] = [now(), transcript.tokens, Math.max(0, promptTokens + tokens - cachedTokens)];
      this.#progressAtMs = fromMs;
    };
    const onProgress = (): void => void (this.#progressAtMs = now());
    try {
      await read({ signal: this.#over.signal, onBegin, onProgress });
      this.#read = tokens;
      this.#progressAtMs = now();
      if (toRead !== undefined && toRead >= tellingTokens) {
        this.#msPerToken = (this.#progressAtMs - fromMs) / toRead;
        this.#isOutrun = transcript.tokens - fromTokens >= toRead;
      }
      this.#vainReadings = !isFirst && this.unread >= unreadBefore ? this.#vainReadings + 1 : 0;
      this.#pauseMs = firstPauseMs;
    } catch (error) {
      if (!isSkeinError(error) || !passing.includes(error.code)) this.#over.abort();
      this.#pausedUntilMs = now() + this.#pauseMs;
      this.#pauseMs = Math.min(2 * this.#pauseMs, longestPauseMs);
    }
  }
}
