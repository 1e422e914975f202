import { SkeinError } from '@skein/protocol';

import { commonPrefix, negligibleTokens } from './common-prefix.ts';
import type { Placement, PrefixCache } from './prefix-cache.ts';
import { removeSequence, Sequence, sum, type SequenceRequest } from './sequence.ts';

export interface AdmissionOptions {
  /** Sequences generated at once. */
  readonly sequences: number;
  /** Tokens of KV cache. */
  readonly contextTokens: number;
  /** Most requests that wait for a free sequence before more are refused. */
  readonly maxQueued: number;
  /** Whether prompts may start from what other sequences have computed. */
  readonly shares: boolean;
}

/** Cells left for each sequence's first tokens, so that none is preempted as soon as it begins. */
const spareTokens = 32;

/**
 * Most sequences that wait to be read and draw nothing: as many as a lead may have to take over from another one that
 * leaves.
 */
const maxReads = 64;

/**
 * The sequences that wait, and the decision which of them begins when. First come, first served; a preempted sequence
 * comes back before any other begins, so nobody takes the room that it waits for. Sequences that draw nothing have a
 * queue of their own, which has its turn when nobody else waits.
 */
export class Admission {
  readonly #cache: PrefixCache;
  readonly #options: AdmissionOptions;
  /**
   * Waiting sequences: preempted ones first, which are older than the others and younger than any that runs; then those
   * that continue an answer of another lead, whose readers have begun; then the rest.
   */
  readonly #waiting: Sequence[] = [];
  /** Sequences that wait and draw nothing. */
  readonly #reads: Sequence[] = [];
  /** Prompt tokens of waiting sequences that the cache held when they came. */
  readonly #cachedAtFirst = new WeakMap<Sequence, number>();

  constructor(cache: PrefixCache, options: AdmissionOptions) {
    this.#cache = cache;
    this.#options = options;
  }

  /** Number of sequences that wait to draw. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Number of sequences that wait and draw nothing. */
  get reads(): number {
    return this.#reads.length;
  }

  /** Whether one waits that draws nothing, and behind which a generation is sure to go on. */
  get hasMoving(): boolean {
    return this.#reads.some(({ moves }) => moves);
  }

  /** Tokens that those have to read which wait to draw, before they do, unless the cache has changed since they came. */
  get waitingTokens(): number {
    return sum(this.#waiting, (one) => (one.copy ? 0 : one.tokens.length - (this.#cachedAtFirst.get(one) ?? 0)));
  }

  /**
   * Queues a request's sequence behind all others; one that continues an answer of another lead behind those that do so,
   * too. As many of these as of the others may wait.
   *
   * @throws SkeinError `overloaded` when too many wait already, `context-length-exceeded` when it could never fit,
   * `invalid-request` when its prompt is empty
   */
  add(request: SequenceRequest): Sequence {
    const { maxQueued } = this.#options;
    this.#assertMayFit(request);
    const continues = request.resume !== undefined;
    const alike = this.#waiting.filter((one) => (one.request.resume !== undefined) === continues);
    if (alike.length >= maxQueued) {
      throw new SkeinError('overloaded', `${maxQueued} requests wait already; try again later or add a machine`);
    }
    const sequence = new Sequence(request);
    if (this.#options.shares) this.#cachedAtFirst.set(sequence, this.#cache.longestKept(request.prompt));
    const place = continues ? this.#waiting.findIndex((one) => !one.hasBegun && one.request.resume === undefined) : -1;
    if (place === -1) this.#waiting.push(sequence);
    else this.#waiting.splice(place, 0, sequence);
    return sequence;
  }

  /**
   * Queues a sequence that draws nothing.
   *
   * @throws SkeinError as {@link add} does
   */
  addRead(request: SequenceRequest): Sequence {
    this.#assertMayFit(request);
    if (this.#reads.length >= maxReads) {
      throw new SkeinError('overloaded', `${maxReads} texts wait to be read along already; try again later`);
    }
    const sequence = new Sequence(request);
    this.#reads.push(sequence);
    return sequence;
  }

  /** Puts a preempted sequence before all others: it is the first to come back. */
  putBack(sequence: Sequence): void {
    this.#waiting.unshift(sequence);
  }

  remove(sequence: Sequence): void {
    removeSequence(sequence.draws ? this.#waiting : this.#reads, sequence);
  }

  /** Forgets the copies of preempted sequences in main memory: they are computed anew. */
  forgetCopies(): void {
    for (const sequence of this.#waiting) sequence.forgetCopy();
  }

  /**
   * Removes and returns the next sequence that there is a slot for, and room for all its tokens and a few more.
   *
   * @param options.mayOpenGrammar whether one with a grammar may begin: one a step, so that their work does not add up
   */
  next(
    running: readonly Sequence[],
    { mayOpenGrammar }: { readonly mayOpenGrammar: boolean },
  ): { readonly sequence: Sequence; readonly placement: Placement } | undefined {
    if (!this.#isPlaceFree(running)) return undefined;
    for (const sequence of this.#waiting) {
      const { tokens, request } = sequence;
      if (!sequence.hasBegun && this.#isBeingRead(tokens, running)) continue;
      if (!mayOpenGrammar && request.sampling?.grammar !== undefined) return undefined;
      const placement = this.#place(sequence, running);
      if (placement === undefined) return undefined;
      this.remove(sequence);
      return { sequence, placement };
    }
    return undefined;
  }

  /**
   * Removes and returns the next sequence that draws nothing, where no other one runs and nobody else waits, with its
   * placement; without one where there is no room for it. Those come first behind which a generation is sure to go on.
   */
  nextRead(
    running: readonly Sequence[],
  ): { readonly sequence: Sequence; readonly placement: Placement | undefined } | undefined {
    const sequence = this.#reads.find(({ moves }) => moves) ?? this.#reads[0];
    const isFree = this.#waiting.length === 0 && this.#isPlaceFree(running) && running.every(({ draws }) => draws);
    if (sequence === undefined || !isFree) return undefined;
    this.remove(sequence);
    return { sequence, placement: this.#place(sequence, running) };
  }

  #isPlaceFree(running: readonly Sequence[]): boolean {
    return sum(running, ({ draws }) => Number(draws)) < this.#options.sequences;
  }

  #place(sequence: Sequence, running: readonly Sequence[]): Placement | undefined {
    const { tokens, copy, request } = sequence;
    const spare = sum(running, (one) => one.unsent + spareFor(one)) + spareFor(sequence);
    const sources = running.flatMap(({ slot, tokens: held, confirmed }) =>
      slot === undefined ? [] : [{ slot, tokens: held, confirmed }],
    );
    return this.#cache.place(tokens, { spare, running: sources, copy, owner: request.id });
  }

  #assertMayFit({ prompt, mostTokens }: SequenceRequest): void {
    const { contextTokens } = this.#options;
    if (prompt.length === 0) throw new SkeinError('invalid-request', 'the prompt is empty');
    if (mostTokens <= contextTokens) return;
    throw new SkeinError(
      'context-length-exceeded',
      `${mostTokens} tokens are needed where the context holds ${contextTokens}; shorten the prompt or deploy with a larger context`,
    );
  }

  /** Tells whether a running sequence is about to have computed much more of this prompt than any has now. */
  #isBeingRead(prompt: readonly number[], running: readonly Sequence[]): boolean {
    if (!this.#options.shares) return false;
    let [promised, ready] = [0, this.#cache.longestKept(prompt)];
    for (const { tokens, confirmed } of running) {
      const common = commonPrefix(tokens, prompt, prompt.length - 1);
      promised = Math.max(promised, common);
      ready = Math.max(ready, Math.min(common, confirmed));
    }
    return promised - ready > negligibleTokens;
  }
}

function spareFor({ request, tokens }: Sequence): number {
  return Math.min(spareTokens, request.mostTokens - tokens.length);
}
