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
 * The sequences that wait, and the decision which of them begins when. First come, first served; a preempted sequence
 * comes back before any other begins, so nobody takes the room that it waits for.
 */
export class Admission {
  readonly #cache: PrefixCache;
  readonly #options: AdmissionOptions;
  /**
   * Waiting sequences: preempted ones first, which are older than the others and younger than any that runs; then those
   * that continue an answer of another lead, whose readers have begun; then the rest.
   */
  readonly #waiting: Sequence[] = [];
  /** Prompt tokens of waiting sequences that the cache held when they came. */
  readonly #cachedAtFirst = new WeakMap<Sequence, number>();

  constructor(cache: PrefixCache, options: AdmissionOptions) {
    this.#cache = cache;
    this.#options = options;
  }

  /** Sequences that wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Tokens that they have to read before their next one is drawn, unless the cache has changed since they came. */
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
    const { contextTokens, maxQueued } = this.#options;
    if (request.prompt.length === 0) throw new SkeinError('invalid-request', 'the prompt is empty');
    if (request.mostTokens > contextTokens) {
      throw new SkeinError(
        'context-length-exceeded',
        `${request.mostTokens} tokens are needed where the context holds ${contextTokens}; shorten the prompt or deploy with a larger context`,
      );
    }
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

  /** Puts a preempted sequence before all others: it is the first to come back. */
  putBack(sequence: Sequence): void {
    this.#waiting.unshift(sequence);
  }

  remove(sequence: Sequence): void {
    removeSequence(this.#waiting, sequence);
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
    if (running.length >= this.#options.sequences) return undefined;
    for (const sequence of this.#waiting) {
      const { tokens, copy, request } = sequence;
      if (!sequence.hasBegun && this.#isBeingRead(tokens, running)) continue;
      if (!mayOpenGrammar && request.sampling.grammar !== undefined) return undefined;
      const spare = sum(running, (one) => one.unsent + spareFor(one)) + spareFor(sequence);
      const sources = running.flatMap(({ slot, tokens: held, confirmed }) =>
        slot === undefined ? [] : [{ slot, tokens: held, confirmed }],
      );
      const placement = this.#cache.place(tokens, { spare, running: sources, copy, owner: request.id });
      if (placement === undefined) return undefined;
      this.remove(sequence);
      return { sequence, placement };
    }
    return undefined;
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
