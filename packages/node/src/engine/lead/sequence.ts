import type { Logprobs, Sampling, SkeinError } from '@skein/protocol';

import { PromptLookup } from './prompt-lookup.ts';

export interface SequenceRequest {
  readonly prompt: readonly number[];
  readonly sampling: Sampling;
  /** Tokens of KV cache kept for it. It never has more: `onToken` answers false in time. */
  readonly reservedTokens: number;
  /** Draft tokens ahead where that pays. */
  readonly speculates: boolean;
  /** Called for each token. Answer true to go on, false when the sequence is complete. */
  onToken(token: number, logprobs: Logprobs | undefined): boolean;
  onError(error: SkeinError): void;
}

/** Where a sequence has got to. */
export class Sequence {
  readonly request: SequenceRequest;
  /** Prompt and drawn tokens. */
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
  /** Prompt tokens that were in the cache. */
  cachedTokens = 0;
  /** Where the part of the prompt ends that is read in tiles. */
  #tiledTokens = 0;
  draftedTokens = 0;
  acceptedTokens = 0;
  #lookup: PromptLookup | undefined;

  constructor(request: SequenceRequest) {
    this.request = request;
    this.tokens = [...request.prompt];
  }

  /** Known tokens that were not sent yet. */
  get unsent(): number {
    return Math.max(0, this.tokens.length - this.sent);
  }

  /** Guesses that there is room for: the row of the last token that it may have is never needed. */
  get draftRoom(): number {
    return Math.max(0, this.request.reservedTokens - 1 - this.tokens.length - this.guessed.length);
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

  /** It has got a slot, which holds the first tokens of its prompt already; the next, up to `tiledTokens`, go in tiles. */
  place(slot: number, cachedTokens: number, tiledTokens: number): void {
    this.#tiledTokens = tiledTokens;
    this.slot = slot;
    this.cachedTokens = cachedTokens;
    this.sent = cachedTokens;
    this.confirmed = cachedTokens;
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
