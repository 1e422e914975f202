import { invariant, type Logprobs, type Resume, type Sampling, type StepEntry } from '@skein/protocol';

import { PromptLookup } from './prompt-lookup.ts';
import type { HeldCopy } from './swapped-sequences.ts';

/** A token as the tail drew it. */
export interface DrawnToken {
  readonly token: number;
  /** Log-probabilities, when they were asked for. */
  readonly logprobs: Logprobs | undefined;
  /** Mirostat's state after it, where Mirostat draws. */
  readonly mu: number | undefined;
  /** Whether it had been drafted. */
  readonly isDraft: boolean;
}

/** A generation's request to the scheduler. */
export interface SequenceRequest {
  /** The generation's id. */
  readonly id: string;
  readonly prompt: readonly number[];
  /** Settings of its draws. Undefined: it draws nothing, and is complete when its tokens have been read. */
  readonly sampling: Sampling | undefined;
  /** Whether a generation is sure to go on behind it, where it draws nothing. Default false. */
  readonly moves?: boolean | undefined;
  /** Most tokens that it may come to have, including the prompt's. It never has more: it is ended in time. */
  readonly mostTokens: number;
  /** Whether to draft tokens ahead where that pays. */
  readonly speculates: boolean;
  /** State from which it continues, when another lead has generated a part of it. Default: none. */
  readonly resume?: Pick<Resume, 'tokens' | 'mu'> | undefined;
}

/**
 * The verdict on a drawn token and the draft token for its position: there was `none`, it `stands`, or it and all
 * behind it have `fallen`.
 */
export type DraftVerdict = 'none' | 'stands' | 'fallen';

/**
 * The state of a sequence. It waits, runs in a slot, is away after it was preempted, or has finished. Only the
 * scheduler and its parts change it, by reporting events to it.
 */
export class Sequence {
  readonly request: SequenceRequest;
  readonly #tokens: number[];
  /** Draft tokens sent for the positions behind the known ones and not answered yet. */
  #drafts: number[] = [];
  #draftedTokens = 0;
  #sent = 0;
  #confirmed = 0;
  #epoch = 0;
  #slot: number | undefined;
  #isFinished = false;
  #isLeaving = false;
  #stepsInFlight = 0;
  #stepsBeside = 0;
  #copy: HeldCopy | undefined;
  #mu: number | undefined;
  /** Number of prompt tokens that were in the cache when it began; undefined before that. */
  #cachedTokens: number | undefined;
  /** Number of the prompt's first tokens that are read in tiles. */
  #tiledTokens = 0;
  #hasTiles = false;
  #lookup: PromptLookup | undefined;

  constructor(request: SequenceRequest) {
    this.request = request;
    const { prompt, resume } = request;
    this.#tokens = [...prompt, ...(resume?.tokens ?? [])];
    this.#mu = resume?.mu;
  }

  /** Prompt and generated tokens. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Whether it draws tokens. Otherwise its tokens are read for a generation that may come later. */
  get draws(): boolean {
    return this.request.sampling !== undefined;
  }

  /** Whether a generation is sure to go on behind it, where it draws nothing itself. */
  get moves(): boolean {
    return this.request.moves === true;
  }

  /** Number of steps that others have sent rows in since it has sent any. */
  get stepsBeside(): number {
    return this.#stepsBeside;
  }

  /** Whether all its tokens are in every stage's cache. */
  get isRead(): boolean {
    return this.#confirmed >= this.#tokens.length;
  }

  /** The slot in which it runs; undefined while it waits and when it has finished. */
  get slot(): number | undefined {
    return this.#slot;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether it has had a slot before, and so comes back when it gets one. */
  get hasBegun(): boolean {
    return this.#cachedTokens !== undefined;
  }

  /** Whether it is to be preempted: it sends no more rows, and goes when those under way have come back. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Whether it was preempted and waits to come back. */
  get isAway(): boolean {
    return this.hasBegun && this.#slot === undefined && !this.#isFinished;
  }

  /** Its copy in main memory while it waits to come back. */
  get copy(): HeldCopy | undefined {
    return this.#copy;
  }

  /** Number of positions sent through the stages: known tokens, then draft tokens. */
  get sent(): number {
    return this.#sent;
  }

  /** Number of positions that all stages have in their caches for certain. */
  get confirmed(): number {
    return this.#confirmed;
  }

  /** Number of drafts that have fallen: rows sent before the last one fell count for nothing. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Number of steps under way that have rows of it. */
  get stepsInFlight(): number {
    return this.#stepsInFlight;
  }

  /** Mirostat's state after the last token. */
  get mu(): number | undefined {
    return this.#mu;
  }

  /** Number of prompt tokens that were in the cache when it began. */
  get cachedTokens(): number {
    return this.#cachedTokens ?? 0;
  }

  /** Number of tokens that were drafted and sent in all. */
  get draftedTokens(): number {
    return this.#draftedTokens;
  }

  /** Number of draft tokens that were sent and not answered yet. */
  get draftsInFlight(): number {
    return this.#drafts.length;
  }

  /** Number of draft tokens that there is room for: the row of the last token that it may have is never needed. */
  get draftRoom(): number {
    return Math.max(0, this.request.mostTokens - 1 - this.#tokens.length - this.#drafts.length);
  }

  /** Number of tokens that were generated, here and on other leads. */
  get generated(): number {
    return this.#tokens.length - this.request.prompt.length;
  }

  /** Number of known tokens that were not sent yet. */
  get unsent(): number {
    return Math.max(0, this.#tokens.length - this.#sent);
  }

  /** Whether the next rows to send are a tile. */
  get readsTiles(): boolean {
    return this.#sent < this.#tiledTokens;
  }

  /** Whether some of the prompt was to be read in tiles. */
  get hasTiles(): boolean {
    return this.#hasTiles;
  }

  /** Predictor of its tokens. It is made when the first token has been drawn, at the cost of reading the prompt once. */
  get lookup(): PromptLookup {
    this.#lookup ??= new PromptLookup(this.#tokens);
    return this.#lookup;
  }

  /**
   * Begins or comes back in a slot, which holds the first tokens already; the next ones, up to `tiledTokens`, go in
   * tiles.
   */
  place(slot: number, cachedTokens: number, tiledTokens: number): void {
    this.#cachedTokens ??= cachedTokens;
    this.#tiledTokens = tiledTokens;
    this.#hasTiles ||= tiledTokens > 0;
    this.#slot = slot;
    this.#copy = undefined;
    this.#sent = cachedTokens;
    this.#confirmed = cachedTokens;
  }

  /** Stops sending rows, since it is to be preempted. */
  prepareToLeave(): void {
    this.#isLeaving = true;
  }

  /** Gives up its slot, and waits to come back. */
  leave(copy: HeldCopy | undefined): void {
    this.#slot = undefined;
    this.#isLeaving = false;
    this.#copy = copy;
  }

  /** Forgets its copy in main memory. */
  forgetCopy(): void {
    this.#copy = undefined;
  }

  /** Sends rows in a step: `knownTokens` known tokens, and draft tokens behind them. Returns its entry in the step. */
  send(knownTokens: number, draft: readonly number[]): StepEntry {
    const sequence = invariant(this.#slot, 'a running sequence has a slot');
    const position = this.#sent;
    const count = knownTokens + draft.length;
    this.#sent += count;
    this.#drafts.push(...draft);
    this.#draftedTokens += draft.length;
    this.#stepsInFlight += 1;
    this.#stepsBeside = 0;
    const sample = this.draws && this.#sent >= this.#tokens.length;
    return { sequence, position, count, sample, ...(draft.length === 0 ? {} : { draft: [...draft] }) };
  }

  /** Takes the news that others have sent rows in a step, and it has not. */
  letPass(): void {
    this.#stepsBeside += 1;
  }

  /** Takes the news that a step with rows of it has come back. */
  comeBack(): void {
    this.#stepsInFlight -= 1;
  }

  /** Takes the news that all stages have its first positions in their caches, of rows that were sent in an epoch. */
  confirm(epoch: number, positions: number): void {
    if (epoch === this.#epoch) this.#confirmed = Math.max(this.#confirmed, positions);
  }

  /** Takes a drawn token, and judges the draft token for its position. */
  accept(token: number, mu: number | undefined): DraftVerdict {
    const position = this.#tokens.push(token) - 1;
    this.#mu = mu;
    if (this.request.speculates) {
      if (this.#lookup === undefined) void this.lookup;
      else this.#lookup.observe();
    }
    const draft = this.#drafts.shift();
    if (draft === undefined) return 'none';
    if (draft === token) return 'stands';
    this.#drafts = [];
    this.#sent = position;
    this.#epoch += 1;
    return 'fallen';
  }

  /** Ends, without its last tokens where some were drawn behind its end. */
  finish({ unread }: { readonly unread: number }): void {
    this.#tokens.length -= unread;
    this.#isFinished = true;
    this.#slot = undefined;
    this.#copy = undefined;
  }
}

/**
 * Removes a sequence from a list.
 *
 * @throws SkeinError `internal` when the list does not hold it
 */
export function removeSequence(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence);
  invariant(list[index], 'a sequence leaves a list that holds it');
  list.splice(index, 1);
}

/** Adds a number up over sequences. */
export function sum(sequences: readonly Sequence[], of: (sequence: Sequence) => number): number {
  return sequences.reduce((total, sequence) => total + of(sequence), 0);
}
