import { Watchdog } from '@skein/mesh';
import { SkeinError, type FinishReason, type GenerationTimings, type Usage } from '@skein/protocol';

import type { Deadlines } from './deadlines.ts';

/** A token and the natural logarithm of its probability before any sampler changed it. */
export interface TokenLogprob {
  /** Text of the token. Bytes that are part of a character are U+FFFD. */
  readonly text: string;
  readonly logprob: number;
  /** The text in UTF-8, where the transport carries it. */
  readonly bytes?: readonly number[];
  /** Its id, where the transport carries it. */
  readonly token?: number;
}

/** A drawn token with its logarithm, and the tokens that were likeliest at its place. */
export interface Logprobs extends TokenLogprob {
  /** The likeliest tokens, as many as were asked for. */
  readonly top: readonly TokenLogprob[];
}

/** A piece of the text, as it comes. */
export interface TextDelta {
  /** Text, empty while bytes of a character or the start of a stop string are held back. */
  readonly text: string;
  /** Ids of the tokens behind the text, where the transport carries them. */
  readonly tokens?: readonly number[];
  /** One entry per token, when `logprobs` was asked for. */
  readonly logprobs?: readonly Logprobs[];
}

export type { GenerationTimings };

/** The end of a generation. */
export interface GenerationEnd {
  /**
   * `stop`: the model or a stop string ended it. `length`: it reached `maxTokens` or, without that, its share of the
   * context.
   */
  readonly finishReason: FinishReason;
  readonly usage: Usage;
  /** Measurements of the lead, where the transport carries them. */
  readonly timings?: GenerationTimings;
}

export interface GenerationResult extends GenerationEnd {
  readonly text: string;
}

/** Deltas, then the end. Transports make it; returning early or aborting the signal cancels upstream. */
export type GenerationStream = AsyncIterator<TextDelta, GenerationEnd, undefined>;

/**
 * One generation, to be read once: iterate it for the text as it comes, or ask for {@link result} alone. Nothing is
 * sent before one of the two. `break`, or aborting the request's signal, cancels it upstream at once.
 */
export class Generation implements AsyncIterable<TextDelta> {
  readonly #begin: (signal: AbortSignal) => GenerationStream;
  readonly #deadlines: Deadlines;
  readonly #signal: AbortSignal | undefined;
  readonly #result = Promise.withResolvers<GenerationResult>();
  #isTaken = false;

  constructor(
    begin: (signal: AbortSignal) => GenerationStream,
    options: { readonly deadlines: Deadlines; readonly signal?: AbortSignal | undefined },
  ) {
    this.#begin = begin;
    this.#deadlines = options.deadlines;
    this.#signal = options.signal;
    // Callers that only iterate see the failure there; unhandled here, it would end the process.
    this.#result.promise.catch(() => undefined);
  }

  /**
   * Returns the whole text with the end. Beside an iteration it waits for that one.
   *
   * @throws SkeinError `aborted` (also after a `break`), `deadline-exceeded`, `peer-lost`, `not-deployed`, `overloaded`
   * and other errors of the lead
   */
  async result(): Promise<GenerationResult> {
    if (!this.#isTaken) {
      const deltas = this[Symbol.asyncIterator]();
      while ((await deltas.next()).done !== true);
    }
    return await this.#result.promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TextDelta, void, undefined> {
    if (this.#isTaken) {
      throw new SkeinError('invalid-request', 'a generation can be read once; ask for another, or keep what was read');
    }
    this.#isTaken = true;
    using watchdog = new Watchdog(this.#signal);
    const stream = this.#begin(watchdog.signal);
    let text = '';
    try {
      watchdog.expect(this.#deadlines.firstTokenMs, 'no first token came');
      for (;;) {
        const next = await stream.next();
        if (next.done === true) return this.#result.resolve({ text, ...next.value });
        text += next.value.text;
        // The reader's own time is not the stream's.
        watchdog.rest();
        yield next.value;
        watchdog.expect(this.#deadlines.gapMs, 'no next token came');
      }
    } catch (error) {
      const failure = watchdog.explain(error);
      this.#result.reject(failure);
      throw failure;
    } finally {
      const left = new SkeinError('aborted', 'the reader left before the end');
      // Both do nothing after an end.
      watchdog.abort(left);
      this.#result.reject(left);
      await stream.return?.().catch(() => undefined);
    }
  }
}
