import { limits, SkeinError, type Resume } from '@skein/protocol';

import type { GenerationUpdate } from './generate.ts';

type GenerationBegin = Extract<GenerationUpdate, { type: 'generation-begin' }>;

/** The facts of an answer's beginning that every lead of it has to agree with. */
type Beginning = Pick<GenerationBegin, 'promptHash' | 'maxTokens'> & Partial<Pick<GenerationBegin, 'promptTokens'>>;

/** Most UTF-16 code units of text for each token: far more than any vocabulary's tokens have. */
const mostCharactersPerToken = 1024;

/** The updates that a run has passed on to its reader, and the state from which another lead continues behind them. */
export class Transcript {
  readonly #askedTokens: number;
  readonly #tokens: number[];
  #begin: Beginning | undefined;
  #emittedCharacters: number;
  #mu: number | undefined;

  /**
   * @param maxTokens most tokens that were asked for. Default: as many as any answer may have
   * @param resume state of an earlier run, which this one continues. Default: the answer starts
   */
  constructor(maxTokens: number = limits.maxContextTokens, resume?: Resume) {
    this.#askedTokens = maxTokens;
    this.#tokens = [...(resume?.tokens ?? [])];
    this.#begin = resume && { promptHash: resume.promptHash, maxTokens };
    this.#emittedCharacters = resume?.emittedCharacters ?? 0;
    this.#mu = resume?.mu;
  }

  /** Whether nothing was passed on that another replica would repeat. */
  get isEmpty(): boolean {
    return this.#tokens.length === 0 && this.#emittedCharacters === 0;
  }

  /** Number of tokens that were passed on. */
  get tokens(): number {
    return this.#tokens.length;
  }

  /** Number of the prompt's tokens; 0 before a replica has begun. */
  get promptTokens(): number {
    return this.#begin?.promptTokens ?? 0;
  }

  /** The fields with which the request is resumed on another lead; undefined before a replica has begun. */
  get continuation(): { readonly maxTokens: number; readonly resume: Resume } | undefined {
    if (this.#begin === undefined) return undefined;
    const { promptHash, maxTokens } = this.#begin;
    const resume = { promptHash, tokens: [...this.#tokens], emittedCharacters: this.#emittedCharacters };
    return { maxTokens, resume: { ...resume, ...(this.#mu !== undefined && { mu: this.#mu }) } };
  }

  /**
   * Adds an update that is to be passed on.
   *
   * @throws SkeinError `protocol-violation` when it can't be one of this answer; nothing has changed then
   */
  add(update: GenerationUpdate): void {
    if (update.type === 'generation-begin') {
      this.#checkBegin(update);
      this.#begin = update;
    }
    if (update.type !== 'text-delta') return;
    const tokens = this.#tokens.length + update.tokens.length;
    const characters = this.#emittedCharacters + update.text.length;
    const most = this.#begin?.maxTokens ?? this.#askedTokens;
    if (tokens > most) throw contradicts(`sent more than the ${most} tokens that the answer may have`);
    if (characters > (tokens + 1) * mostCharactersPerToken)
      throw contradicts('sent more text than its tokens can have');
    this.#tokens.push(...update.tokens);
    this.#emittedCharacters = characters;
    this.#mu = update.mu ?? this.#mu;
  }

  /** Checks that a lead begins what it was asked for. */
  #checkBegin({ promptHash, maxTokens }: GenerationBegin): void {
    const earlier = this.isEmpty ? undefined : this.#begin;
    const most = earlier?.maxTokens ?? this.#askedTokens;
    if (maxTokens > most) throw contradicts(`would send ${maxTokens} tokens where ${most} are asked for`);
    if (earlier !== undefined && promptHash !== earlier.promptHash) throw contradicts('goes on behind another prompt');
  }
}

function contradicts(what: string): SkeinError {
  return new SkeinError('protocol-violation', `the lead of the deployment ${what}; undeploy it if that goes on`);
}
