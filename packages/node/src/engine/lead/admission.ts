import { commonPrefix, negligibleTokens } from './common-prefix.ts';
import type { Placement, PrefixCache } from './prefix-cache.ts';
import { sum, type Sequence } from './sequence.ts';

export interface AdmissionOptions {
  /** Sequences generated at once. */
  readonly sequences: number;
  /** Whether prompts may start from what others have computed. */
  readonly shares: boolean;
}

/** Cells left for what each sequence generates first, so that none is preempted as soon as it begins. */
const spareTokens = 32;

/**
 * The sequences that wait, and who of them begins when. First come, first served; a sequence that was preempted comes back
 * before any other begins, so nobody takes the room that it waits for.
 */
export class Admission {
  readonly #cache: PrefixCache;
  readonly #options: AdmissionOptions;
  /** Preempted ones first. They are older than the others and younger than any that runs. */
  readonly #waiting: Sequence[] = [];

  constructor(cache: PrefixCache, options: AdmissionOptions) {
    this.#cache = cache;
    this.#options = options;
  }

  /** Sequences that wait. */
  get size(): number {
    return this.#waiting.length;
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** A sequence was preempted: it is the first to come back. */
  putBack(sequence: Sequence): void {
    this.#waiting.unshift(sequence);
  }

  remove(sequence: Sequence): void {
    this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
  }

  /** What main memory had of preempted sequences is gone: they are computed anew. */
  forgetCopies(): void {
    for (const sequence of this.#waiting) sequence.copy = undefined;
  }

  /**
   * Takes out the next sequence that there is a slot for, and room for all its tokens and a few more.
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
      const placement = this.#cache.place(tokens, { spare, running: sources, copy });
      if (placement === undefined) return undefined;
      this.remove(sequence);
      return { sequence, placement };
    }
    return undefined;
  }

  /** Whether a running sequence is about to have computed much more of this prompt than any has now. */
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
