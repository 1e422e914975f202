import type { Logprobs, Resume, Sampling, SkeinError } from '@skein/protocol';

import { PromptLookup } from './prompt-lookup.ts';
import type { HeldCopy } from './swapped-sequences.ts';

/** A token as the tail drew it. */
export interface DrawnToken {
  readonly token: number;
  /** When they were asked for. */
  readonly logprobs: Logprobs | undefined;
  /** Mirostat's state after it, where Mirostat draws. */
  readonly mu: number | undefined;
}

export interface SequenceRequest {
  readonly prompt: readonly number[];
  readonly sampling: Sampling;
  /** Tokens that it may come to have, the prompt's included. It never has more: `onToken` answers false in time. */
  readonly mostTokens: number;
  /** Draft tokens ahead where that pays. */
  readonly speculates: boolean;
  /** What it goes on from, when another lead has generated a part of it. Default: nothing. */
  readonly resume?: Pick<Resume, 'tokens' | 'mu'> | undefined;
  /** Called for each token that is drawn. Answer true to go on, false when the sequence is complete. */
  onToken(drawn: DrawnToken): boolean;
  onError(error: SkeinError): void;
}

/** Where a sequence has got to. */
export class Sequence {
  readonly request: SequenceRequest;
  /** Prompt and generated tokens. */
  readonly tokens: number[];
  /** Guesses sent for the positions behind {@link tokens} and not answered yet. */
  guessed: number[] = [];
  /** Positions sent through the stages: known tokens, then guesses. */
  sent = 0;
  /** Positions that all stages have in their caches for certain. */
  confirmed = 0;
  /** Counts the guesses that fell: what was sent before the last one did counts for nothing. */
  epoch = 0;
  slot: number | undefined;
  isFinished = false;
  /** Whether it is to be preempted: it sends no more rows, and goes when those under way have come back. */
  isLeaving = false;
  /** Steps under way that have rows of it. */
  stepsInFlight = 0;
  /** What main memory has of it while it waits to come back. */
  copy: HeldCopy | undefined;
  /** Mirostat's state after the last token. */
  mu: number | undefined;
  /** Prompt tokens that were in the cache when it began; undefined before that. */
  #cachedTokens: number | undefined;
  /** Where the part of the prompt ends that is read in tiles. */
  #tiledTokens = 0;
  #hasTiles = false;
  draftedTokens = 0;
  acceptedTokens = 0;
  #lookup: PromptLookup | undefined;

  constructor(request: SequenceRequest) {
    this.request = request;
    const { prompt, resume } = request;
    this.tokens = [...prompt, ...(resume?.tokens ?? [])];
    this.mu = resume?.mu;
  }

  /** Whether it has had a slot before, and so comes back when it gets one. */
  get hasBegun(): boolean {
    return this.#cachedTokens !== undefined;
  }

  /** Whether it was preempted and waits to come back. */
  get isAway(): boolean {
    return this.hasBegun && this.slot === undefined && !this.isFinished;
  }

  /** Prompt tokens that were in the cache when it began. */
  get cachedTokens(): number {
    return this.#cachedTokens ?? 0;
  }

  /** Tokens that were generated, here and on other leads. */
  get generated(): number {
    return this.tokens.length - this.request.prompt.length;
  }

  /** Known tokens that were not sent yet. */
  get unsent(): number {
    return Math.max(0, this.tokens.length - this.sent);
  }

  /** Guesses that there is room for: the row of the last token that it may have is never needed. */
  get draftRoom(): number {
    return Math.max(0, this.request.mostTokens - 1 - this.tokens.length - this.guessed.length);
  }

  /** Made when the first token has been drawn, at the cost of reading the prompt once. */
  get lookup(): PromptLookup {
    this.#lookup ??= new PromptLookup(this.tokens);
    return this.#lookup;
  }

  /** Whether the next rows to send are a tile. */
  get readsTiles(): boolean {
    return this.sent < this.#tiledTokens;
  }

  /** Whether some of the prompt was to be read in tiles. */
  get hasTiles(): boolean {
    return this.#hasTiles;
  }

  /** It has got a slot, which holds its first tokens already; the next, up to `tiledTokens`, go in tiles. */
  place(slot: number, cachedTokens: number, tiledTokens: number): void {
    this.#cachedTokens ??= cachedTokens;
    this.#tiledTokens = tiledTokens;
    this.#hasTiles ||= tiledTokens > 0;
    this.slot = slot;
    this.copy = undefined;
    this.sent = cachedTokens;
    this.confirmed = cachedTokens;
  }

  /** It has lost its slot, and waits to come back. */
  leave(copy: HeldCopy | undefined): void {
    this.slot = undefined;
    this.isLeaving = false;
    this.copy = copy;
  }

  /** Takes a drawn token. False when it contradicts a guess, of which all that were sent have fallen then. */
  accept(token: number): boolean {
    const position = this.tokens.push(token) - 1;
    if (this.request.speculates) {
      if (this.#lookup === undefined) void this.lookup;
      else this.#lookup.observe();
    }
    const guess = this.guessed.shift();
    if (guess === undefined) return true;
    if (guess === token) {
      this.acceptedTokens += 1;
      return true;
    }
    this.guessed = [];
    this.sent = position;
    this.epoch += 1;
    return false;
  }
}

/** Adds something up over sequences. */
export function sum(sequences: readonly Sequence[], of: (sequence: Sequence) => number): number {
  return sequences.reduce((total, sequence) => total + of(sequence), 0);
}
