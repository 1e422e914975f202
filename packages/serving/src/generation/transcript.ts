import type { Resume } from '@skein/protocol';

import type { GenerationUpdate } from './generate.ts';

/** The updates that a run has passed on to its reader, and the state from which another lead continues behind them. */
export class Transcript {
  readonly #tokens: number[] = [];
  #begin: Extract<GenerationUpdate, { type: 'generation-begin' }> | undefined;
  #emittedCharacters = 0;
  #mu: number | undefined;

  /** Whether nothing was passed on that another replica would repeat. */
  get isEmpty(): boolean {
    return this.#tokens.length === 0 && this.#emittedCharacters === 0;
  }

  /** Number of tokens that were passed on. */
  get tokens(): number {
    return this.#tokens.length;
  }

  /** The fields with which the request is resumed on another lead; undefined before a replica has begun. */
  get continuation(): { readonly maxTokens: number; readonly resume: Resume } | undefined {
    if (this.#begin === undefined) return undefined;
    const { promptHash, maxTokens } = this.#begin;
    const resume = { promptHash, tokens: [...this.#tokens], emittedCharacters: this.#emittedCharacters };
    return { maxTokens, resume: { ...resume, ...(this.#mu !== undefined && { mu: this.#mu }) } };
  }

  /** Adds an update that is passed on. */
  add(update: GenerationUpdate): void {
    if (update.type === 'generation-begin') this.#begin = update;
    if (update.type !== 'text-delta') return;
    this.#tokens.push(...update.tokens);
    this.#emittedCharacters += update.text.length;
    this.#mu = update.mu ?? this.#mu;
  }
}
