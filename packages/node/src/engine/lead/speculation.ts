import type { Step } from '@skein/protocol';

import type { PlannedRows } from './batch-policy.ts';
import type { Sequence } from './sequence.ts';
import { StepCosts, type StepCost } from './step-costs.ts';

export interface SpeculationOptions {
  /** Most draft tokens in a micro-batch. */
  readonly draftTokens: number;
  /** Whether caches can be cut back to any position: tokens are drafted only where they can. */
  readonly rewinds: boolean;
  /** Measured durations of steps in which all rows decode, on the lead's stage. More are learned on the way. */
  readonly stepCosts: readonly StepCost[];
}

/** Least hit rate: rarer predictions are not worth even a place in the ring that would stay empty. */
const leastHitRate = 0.1;
/** Rows that matrix kernels take at once: one more than a multiple of it costs as much as some more. */
const kernelRows = 4;
/** Gain in tokens per second that a draft has to promise to be worth its risk. */
const margin = 1.15;

/**
 * The decisions which tokens are drafted, and when. Where it pays by {@link bestDraftLength}, a decoding sequence sends
 * draft tokens {@link behind} its token. And where the ring would have an empty place, since all sequences wait for the
 * tail, draft tokens go {@link ahead} of the answer: if they are right the next token is already on its way, if not an
 * idle machine has computed in vain.
 */
export class Speculation {
  readonly #options: SpeculationOptions;
  readonly #costs = new StepCosts();

  constructor(options: SpeculationOptions) {
    this.#options = options;
    for (const { rows, ms } of options.stepCosts) this.#costs.observe('decode', rows, ms);
  }

  /** Learns how long the lead's stage took for a micro-batch, in milliseconds. */
  observe({ entries }: Pick<Step, 'entries'>, ms: number): void {
    const rows = entries.reduce((total, { count }) => total + count, 0);
    const isDecoding = entries.every(({ count, draft = [] }) => count - draft.length <= 1);
    if (rows > 0 && ms > 0) this.#costs.observe(isDecoding ? 'decode' : 'prompt', rows, ms);
  }

  /**
   * Returns a micro-batch in which all sequences decode with draft tokens behind their tokens, where that is expected
   * to pay.
   *
   * @param draftRoom most draft tokens, all sequences together
   * @param running sequences that run: all of them wait for the slowest micro-batch of a full ring
   */
  behind(
    batch: readonly PlannedRows<Sequence>[],
    draftRoom: number,
    running: number,
  ): readonly PlannedRows<Sequence>[] {
    if (draftRoom === 0) return batch;
    let [rows, room] = [batch.length, draftRoom];
    return batch.map((planned) => {
      const { sequence } = planned;
      const length = this.#draftLength(sequence, { otherRows: rows - 1, otherTokens: running - 1, most: room });
      if (length === 0) return planned;
      const draft = sequence.lookup.predict(0, length);
      rows += draft.length;
      room -= draft.length;
      return { ...planned, draft };
    });
  }

  /**
   * Returns one sequence's draft tokens for a place in the ring that would stay empty; none where no sequence has any.
   *
   * @param running sequences in the order of their turns
   * @param freeCells cells of the KV cache, of which each running sequence is left one
   */
  ahead(running: readonly Sequence[], freeCells: number): readonly PlannedRows<Sequence>[] {
    const most = Math.min(freeCells - running.length, this.#options.draftTokens);
    if (most <= 0) return [];
    for (const sequence of running) {
      if (!this.#mayDraft(sequence) || sequence.unsent > 0 || sequence.draftRoom === 0) continue;
      if (sequence.lookup.hitRate < leastHitRate) continue;
      const length = Math.max(1, this.#draftLength(sequence, { otherRows: 0, otherTokens: 0, most }));
      const draft = sequence.lookup.predict(sequence.draftsInFlight, length);
      if (draft.length > 0) return [{ sequence, knownTokens: 0, draft }];
    }
    return [];
  }

  #mayDraft(sequence: Sequence): boolean {
    return sequence.generated > 0 && !sequence.isLeaving && sequence.request.speculates && this.#options.rewinds;
  }

  #draftLength(
    sequence: Sequence,
    beside: { readonly otherRows: number; readonly otherTokens: number; readonly most: number },
  ): number {
    if (!this.#mayDraft(sequence)) return 0;
    const most = Math.min(beside.most, sequence.draftRoom);
    return bestDraftLength(this.#costs, { ...beside, most, hitRate: sequence.lookup.hitRate });
  }
}

/**
 * Returns how many draft tokens to verify along with the next token of a sequence, so that the expected number of tokens per
 * millisecond is greatest: with each right at probability p, a draft of k gives (1 - p^(k+1)) / (1 - p) tokens on
 * average (Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding", equation 1).
 *
 * @param options.otherRows rows of the micro-batch besides
 * @param options.otherTokens tokens that the same time gives to other sequences
 * @param options.hitRate p, below 1
 * @param options.most longest draft
 */
export function bestDraftLength(
  costs: StepCosts,
  options: {
    readonly otherRows: number;
    readonly otherTokens: number;
    readonly hitRate: number;
    readonly most: number;
  },
): number {
  const { otherRows, otherTokens, most } = options;
  const p = Math.min(options.hitRate, 0.99);
  const alone = costs.estimate(otherRows + 1);
  if (alone === undefined) return 0;
  let best = { length: 0, rate: (margin * (otherTokens + 1)) / alone };
  for (let length = 1; length <= most; length += length < 7 ? 1 : kernelRows) {
    const cost = costs.estimate(otherRows + 1 + length);
    if (cost === undefined) break;
    const rate = (otherTokens + (1 - p ** (length + 1)) / (1 - p)) / cost;
    if (rate > best.rate) best = { length, rate };
  }
  return best.length;
}
