import { SkeinError, type CacheOperation, type Sampled, type StepEntry } from '@skein/protocol';

import { MovedCells } from './moved-cells.ts';
import type { Sequence } from './sequence.ts';

type Draw = Sampled['draws'][number];

/** The rows of one sequence in a step. */
export interface Contribution {
  readonly sequence: Sequence;
  /** The sequence's epoch when they were sent. */
  readonly epoch: number;
  readonly entry: StepEntry;
}

/** The tail's draws after the rows of one sequence. */
export interface AnsweredEntry {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly draw: Draw;
}

interface StepInFlight {
  readonly contributions: readonly Contribution[];
  readonly moved: MovedCells;
}

/** All whose cells in the stages are unknown after a failed step. */
export interface Lost {
  /** Sequences with rows in it. */
  readonly sequences: readonly Sequence[];
  /** Slots whose cells it moved, or that share such. */
  readonly slots: ReadonlySet<number>;
}

/** The steps on their way round the ring, each with its request: an answer is judged by that before any of it counts. */
export class InFlightLedger {
  readonly #steps = new Map<number, StepInFlight>();
  #nextStep: number;

  /** @param firstStep number of the first step. Default 0 */
  constructor(firstStep = 0) {
    this.#nextStep = firstStep;
  }

  /** Number that the next step gets. */
  get nextStep(): number {
    return this.#nextStep;
  }

  /** Tells whether a step is under way. */
  has(step: number): boolean {
    return this.#steps.has(step);
  }

  /** Number of steps under way. */
  get size(): number {
    return this.#steps.size;
  }

  /** Enters a step, and returns its number. */
  enter(contributions: readonly Contribution[], operations: readonly CacheOperation[]): number {
    const step = this.#nextStep;
    this.#nextStep += 1;
    for (const { moved } of this.#steps.values()) if (!moved.isEmpty) moved.follow(operations);
    this.#steps.set(step, { contributions, moved: new MovedCells(operations) });
    return step;
  }

  /**
   * Takes the tail's answer to a step. Tells sequences which of their rows are in all caches.
   *
   * @returns the draws that count, in the order of the step's entries: none for a sequence that has finished or for
   * rows behind a draft token that has fallen
   * @throws SkeinError `protocol-violation` for an answer that does not fit a step under way; nothing has changed then
   */
  complete(step: number, draws: readonly Draw[]): readonly AnsweredEntry[] {
    const contributions = this.#steps.get(step)?.contributions;
    const sampled = contributions?.filter(({ entry }) => entry.sample);
    if (contributions === undefined || sampled?.length !== draws.length) throw unasked(step);
    const answered = sampled.map((contribution, index) => {
      const draw = draws[index];
      if (draw === undefined || !isPossible(contribution, draw)) throw unasked(step);
      return { contribution, draw };
    });
    this.#steps.delete(step);
    for (const { sequence, epoch, entry } of contributions) {
      sequence.comeBack();
      if (!entry.sample) sequence.confirm(epoch, entry.position + entry.count);
    }
    return answered.flatMap(({ contribution, draw }) => {
      const { sequence, epoch, entry } = contribution;
      if (!doesCount(contribution)) return [];
      const confirmedRows = entry.count - confirmingDraft(entry).length + draw.tokens.length - 1;
      if (draw.error === undefined) sequence.confirm(epoch, entry.position + confirmedRows);
      return { sequence, slot: entry.sequence, draw };
    });
  }

  /**
   * Takes the news that a step could not be computed.
   *
   * @param options.answerIsDue the step is still on its way, without rows, and the tail will answer it
   * @param options.unsent operations that were decided and not sent yet
   */
  fail(
    step: number,
    { answerIsDue, unsent }: { readonly answerIsDue: boolean; readonly unsent: readonly CacheOperation[] },
  ): Lost {
    const { contributions, moved } = this.#steps.get(step) ?? nothing();
    if (answerIsDue) this.#steps.set(step, nothing());
    else this.#steps.delete(step);
    return { sequences: contributions.map(({ sequence }) => sequence), slots: moved.slotsAfter(unsent) };
  }
}

function nothing(): StepInFlight {
  return { contributions: [], moved: new MovedCells([]) };
}

/** Tells whether draws after these rows still matter. */
function doesCount({ sequence, epoch }: Contribution): boolean {
  return !sequence.isFinished && sequence.epoch === epoch;
}

/**
 * Returns the draft tokens that draws decide about: after a known token the first draw decides about the first one;
 * where all are drafts, about the second.
 */
function confirmingDraft({ count, draft = [] }: StepEntry): readonly number[] {
  return count === draft.length ? draft.slice(1) : draft;
}

function isPossible({ sequence, epoch, entry }: Contribution, { sequence: slot, tokens, error }: Draw): boolean {
  if (slot !== entry.sequence) return false;
  if (error !== undefined || sequence.isFinished) return true;
  if (sequence.epoch !== epoch) return tokens.length === 0;
  const confirming = confirmingDraft(entry);
  return (
    tokens.length >= 1 &&
    tokens.length <= confirming.length + 1 &&
    tokens.slice(0, -1).every((token, index) => token === confirming[index])
  );
}

function unasked(step: number): SkeinError {
  return new SkeinError('protocol-violation', `the tail answered step ${step} with tokens that were not asked for`);
}
