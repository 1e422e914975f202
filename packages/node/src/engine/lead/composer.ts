import { invariant, type StepEntry } from '@skein/protocol';

import type { MicroBatchTuning } from '../micro-batch-tuning.ts';
import type { PrefixCache, SlotOperation } from './prefix-cache.ts';
import { sum, type Sequence } from './sequence.ts';
import { bestDraftLength, type StepCosts } from './step-costs.ts';

export interface ComposerOptions extends MicroBatchTuning {
  /** Stages of the pipeline. */
  readonly stages: number;
  /** Whether caches can be cut back to any position: guesses are made only where they can. */
  readonly rewinds: boolean;
}

/** What one sequence has in a step. */
export interface Contribution {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly epoch: number;
  readonly entry: StepEntry;
}

export interface Composition {
  readonly contributions: readonly Contribution[];
  /** Whether some sequence got no row for want of cells. */
  readonly isStarved: boolean;
}

/** Predictions that come true less often than this are not worth even a place in the ring that would stay empty. */
const leastHitRate = 0.1;

/**
 * Composes micro-batches: which sequences have rows in the next one, and how many.
 *
 * Speculation: where it pays by {@link bestDraftLength}, a decoding sequence sends guesses behind its token. And where the
 * ring would have an empty place, with less under way than there are stages since all sequences wait for the tail, guesses go
 * ahead of the answer: if they are right the next token is already on its way, if not a machine has computed that had nothing
 * to do. Guesses never take a cell that a known token needs.
 */
export class Composer {
  readonly #options: ComposerOptions;
  readonly #cache: PrefixCache;
  readonly #costs: StepCosts;

  constructor({ cache, costs }: { cache: PrefixCache; costs: StepCosts }, options: ComposerOptions) {
    this.#cache = cache;
    this.#costs = costs;
    this.#options = options;
  }

  /** Makes cells free for the next micro-batch, whatever goes into it, as far as finished sequences hold some. */
  makeRoom(running: readonly Sequence[]): readonly SlotOperation[] {
    const { batchTokens, draftTokens, tiles } = this.#options;
    const most = Math.max(batchTokens, tiles?.rows ?? 0) + draftTokens;
    if (this.#cache.freeCells >= most) return [];
    return this.#cache.makeRoom(
      Math.min(
        most,
        sum(running, ({ request, sent }) => request.mostTokens - sent),
      ),
    );
  }

  /**
   * Decoding sequences first, then prompts in chunks, up to a micro-batch. No more sequences than a fair share of the
   * active ones, so that the others can fill the ring's other places. A tile goes alone, when it is its sequence's turn: it
   * would change how the rows of others are rounded.
   *
   * @param running in the order in which it is their turn; those that were served go to its end
   * @param inFlight micro-batches under way
   */
  compose(running: Sequence[], inFlight: number): Composition {
    const { stages } = this.#options;
    const ready = running.filter(({ unsent, isLeaving }) => unsent > 0 && !isLeaving);
    const [first] = ready;
    if (first === undefined) {
      const hasEmptyPlace = inFlight > 0 && inFlight < stages;
      return { contributions: hasEmptyPlace ? this.#send(this.#guessAhead(running)) : [], isStarved: false };
    }
    const { contributions, isStarved } = first.readsTiles
      ? this.#composeTile(first)
      : this.#composeRows(ready, running);
    // Round robin.
    for (const { sequence } of contributions) {
      running.splice(running.indexOf(sequence), 1);
      running.push(sequence);
    }
    return { contributions: this.#send(contributions), isStarved };
  }

  #composeTile(sequence: Sequence): Composition {
    const { rows } = invariant(this.#options.tiles, 'only a scheduler with tiles plans to read in tiles');
    if (this.#cache.freeCells < rows) return { contributions: [], isStarved: true };
    return { contributions: [contribute(sequence, rows, [])], isStarved: false };
  }

  #composeRows(ready: readonly Sequence[], running: readonly Sequence[]): Composition {
    const { stages, batchTokens, chunkTokens, draftTokens } = this.#options;
    const share = Math.ceil(running.length / stages);
    const byRows = ready.filter(({ readsTiles }) => !readsTiles);
    byRows.sort((one, other) => Number(one.unsent > 1) - Number(other.unsent > 1));
    const contributions: Contribution[] = [];
    const room = { rows: batchTokens, promptRows: chunkTokens, drafts: draftTokens, cells: this.#cache.freeCells };
    let isStarved = false;
    for (const sequence of byRows.slice(0, share)) {
      const isDecoding = sequence.unsent === 1;
      const wanted = isDecoding ? Math.min(1, room.rows) : Math.min(sequence.unsent, room.rows, room.promptRows);
      if (wanted === 0) break;
      // A prompt leaves a cell for the next token of each other sequence.
      const cells = isDecoding ? room.cells : room.cells - (running.length - 1);
      const count = Math.min(wanted, cells);
      if (count <= 0) {
        isStarved = true;
        break;
      }
      contributions.push(contribute(sequence, count, []));
      room.rows -= count;
      room.cells -= count;
      if (!isDecoding) room.promptRows -= count;
    }
    if (room.promptRows === chunkTokens) {
      room.drafts = Math.min(room.drafts, room.cells - running.length);
      this.#addDrafts(contributions, room, running.length);
    }
    return { contributions, isStarved };
  }

  /** Puts guesses behind the tokens of a micro-batch in which all decode, where that is expected to pay. */
  #addDrafts(contributions: Contribution[], room: { rows: number; drafts: number }, running: number): void {
    let rows = contributions.length;
    for (const [index, { sequence }] of contributions.entries()) {
      // All sequences wait for the slowest micro-batch of a full ring.
      const length = this.#draftLength(sequence, rows, running, Math.min(room.rows, room.drafts));
      if (length <= 0) continue;
      const draft = sequence.lookup.predict(0, length);
      if (draft.length === 0) continue;
      sequence.sent -= 1;
      contributions[index] = contribute(sequence, 1, draft);
      rows += draft.length;
      room.rows -= draft.length;
      room.drafts -= draft.length;
    }
  }

  /** One sequence's guesses for a place in the ring that would stay empty. */
  #guessAhead(running: readonly Sequence[]): Contribution[] {
    const cells = this.#cache.freeCells - running.length;
    if (cells <= 0) return [];
    for (const sequence of running) {
      if (!this.#mayDraft(sequence) || sequence.unsent > 0 || sequence.draftRoom === 0) continue;
      if (sequence.lookup.hitRate < leastHitRate) continue;
      const most = Math.min(cells, this.#options.draftTokens);
      const length = Math.max(1, this.#draftLength(sequence, 0, 0, most));
      const draft = sequence.lookup.predict(sequence.guessed.length, length);
      if (draft.length > 0) return [contribute(sequence, 0, draft)];
    }
    return [];
  }

  #mayDraft(sequence: Sequence): boolean {
    return sequence.generated > 0 && !sequence.isLeaving && sequence.request.speculates && this.#options.rewinds;
  }

  #draftLength(sequence: Sequence, rows: number, tokens: number, most: number): number {
    if (!this.#mayDraft(sequence)) return 0;
    return bestDraftLength(this.#costs, {
      otherRows: Math.max(0, rows - 1),
      otherTokens: Math.max(0, tokens - 1),
      hitRate: sequence.lookup.hitRate,
      most: Math.min(most, sequence.draftRoom),
    });
  }

  /** Rows take their cells in the order in which they are sent. */
  #send(contributions: readonly Contribution[]): readonly Contribution[] {
    for (const { sequence, slot, entry } of contributions) {
      this.#cache.grow(slot, entry.position + entry.count);
      sequence.stepsInFlight += 1;
    }
    return contributions;
  }
}

function contribute(sequence: Sequence, known: number, draft: readonly number[]): Contribution {
  const position = sequence.sent;
  const count = known + draft.length;
  sequence.sent += count;
  sequence.guessed.push(...draft);
  sequence.draftedTokens += draft.length;
  const sample = sequence.sent >= sequence.tokens.length;
  const slot = invariant(sequence.slot, 'a running sequence has a slot');
  const entry = { sequence: slot, position, count, sample, ...(draft.length === 0 ? {} : { draft: [...draft] }) };
  return { sequence, slot, epoch: sequence.epoch, entry };
}
