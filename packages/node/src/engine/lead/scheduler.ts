import {
  fromWireError,
  invariant,
  limits,
  SkeinError,
  type CacheOperation,
  type Sampled,
  type Step,
} from '@skein/protocol';

import { remembersHistory } from '../stage/sampling/remembers-history.ts';
import { Admission } from './admission.ts';
import { Composer, type ComposerOptions, type Contribution } from './composer.ts';
import { PrefixCache, type PrefixCacheOptions } from './prefix-cache.ts';
import { Sequence, type SequenceRequest } from './sequence.ts';
import { StepCosts, type StepCost } from './step-costs.ts';

export interface SchedulerOptions extends ComposerOptions, Pick<PrefixCacheOptions, 'swapTokens'> {
  /** Sequences generated at once. */
  readonly sequences: number;
  /** Sequences that the stages tell apart: those above and finished ones that are kept for their prefixes. */
  readonly slots: number;
  /** Tokens of KV cache, shared by all slots. */
  readonly contextTokens: number;
  /** What steps in which all rows decode were measured to cost on the lead's stage. More is learned as it goes on. */
  readonly stepCosts: readonly StepCost[];
  /** Requests that may wait for a free sequence before more are refused. */
  readonly maxQueued: number;
}

/** A micro-batch on its way: the step for the ring and the ids of its rows' tokens, in order. */
export interface ScheduledStep {
  readonly step: Step;
  readonly tokens: Int32Array;
}

interface StepInFlight {
  readonly contributions: readonly Contribution[];
  /** Sequences whose cells it brings from main memory, with or without rows of them. */
  readonly movedSequences: readonly Sequence[];
}

/** History tokens that samplers get told about in one step. Bounds a step's header. */
const maxHistoryTokens = limits.maxPromptTokens;

/**
 * The lead's sequence scheduler: continuous batching over a ring of stages. A pure state machine: `next` composes the
 * micro-batch to send, `complete` takes the tail's answer.
 *
 * A sequence takes cells of the KV cache as its rows are sent. When there are none left, finished sequences that were kept
 * go first, then the youngest that runs: it is preempted and comes back, from main memory or computed anew, when there is room.
 * The oldest is never preempted, and the text of none changes.
 *
 * Invariants: a sequence's rows are sent in order of position; cache operations are sent in the order in which they were
 * decided, with or before the first rows that need them; only rows that a step has brought back are shared or kept.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #cache: PrefixCache;
  readonly #costs = new StepCosts();
  readonly #admission: Admission;
  readonly #composer: Composer;
  /** In the order in which it is their turn. */
  readonly #running: Sequence[] = [];
  /** The same, in the order in which they began. */
  readonly #byAge: Sequence[] = [];
  /** Of those, the one that is to be preempted. */
  #leaving: Sequence | undefined;
  readonly #inFlight = new Map<number, StepInFlight>();
  /** Decided and not sent yet. */
  #operations: CacheOperation[] = [];
  #nextStep = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    const { slots, contextTokens, rewinds, swapTokens, stepCosts, sequences } = options;
    this.#cache = new PrefixCache({ slots, cells: contextTokens, keeps: rewinds, swapTokens });
    this.#admission = new Admission(this.#cache, { sequences, shares: rewinds });
    this.#composer = new Composer({ cache: this.#cache, costs: this.#costs }, options);
    for (const { rows, ms } of stepCosts) this.#costs.observe('decode', rows, ms);
  }

  /** Sequences that run. */
  get active(): number {
    return this.#running.length;
  }

  /** Sequences that wait, preempted ones among them. */
  get queued(): number {
    return this.#admission.size;
  }

  /** Whether nothing runs, waits or is on its way round the ring. */
  get isIdle(): boolean {
    return this.#running.length === 0 && this.#admission.size === 0 && this.#inFlight.size === 0;
  }

  /** Learns how long the lead's stage took for a micro-batch. */
  observeCost({ entries }: Pick<Step, 'entries'>, ms: number): void {
    const rows = entries.reduce((sum, { count }) => sum + count, 0);
    const isDecoding = entries.every(({ count, draft = [] }) => count - draft.length <= 1);
    if (rows > 0 && ms > 0) this.#costs.observe(isDecoding ? 'decode' : 'prompt', rows, ms);
  }

  /** Throws `overloaded` when too many wait already, `context-length-exceeded` when it could never fit. */
  add(request: SequenceRequest): Sequence {
    const { contextTokens, maxQueued } = this.#options;
    if (request.prompt.length === 0) throw new SkeinError('invalid-request', 'the prompt is empty');
    if (request.mostTokens > contextTokens) {
      throw new SkeinError(
        'context-length-exceeded',
        `${request.mostTokens} tokens are needed where the context holds ${contextTokens}; shorten the prompt or deploy with a larger context`,
      );
    }
    if (this.#admission.size >= maxQueued) {
      throw new SkeinError('overloaded', `${maxQueued} requests wait already; try again later or add a machine`);
    }
    const sequence = new Sequence(request);
    this.#admission.add(sequence);
    this.#admit();
    return sequence;
  }

  /** Frees a sequence at once; a token for it that is still on its way is dropped. */
  cancel(sequence: Sequence): void {
    this.#retire(sequence, { keep: true });
  }

  /** The micro-batch to send now, or undefined: nothing is ready, or the ring is full. */
  next(): ScheduledStep | undefined {
    if (this.#inFlight.size >= this.#places()) return undefined;
    const due = this.#compose();
    if (due === undefined) return undefined;
    const { operations, contributions } = due;
    this.#operations = this.#operations.slice(operations.length);
    const tokens: number[] = [];
    for (const { sequence, entry } of contributions) {
      const { position, count, draft = [] } = entry;
      for (let index = position; index < position + count - draft.length; index += 1) {
        tokens.push(invariant(sequence.tokens[index], 'the rows of an entry that are no guesses are known tokens'));
      }
      tokens.push(...draft);
    }
    const entries = contributions.map(({ entry }) => entry);
    const step: Step = { type: 'step', step: this.#nextStep, operations, entries };
    this.#nextStep += 1;
    this.#inFlight.set(step.step, { contributions, movedSequences: this.#movedBy(operations) });
    return { step, tokens: Int32Array.from(tokens) };
  }

  /** Takes the tail's answer. Throws `protocol-violation` for one that does not fit a step in flight. */
  complete(step: number, draws: Sampled['draws']): void {
    const contributions = this.#inFlight.get(step)?.contributions;
    const sampled = contributions?.filter(({ entry }) => entry.sample);
    if (contributions === undefined || sampled?.length !== draws.length) throw unasked(step);
    this.#inFlight.delete(step);
    for (const contribution of contributions) {
      contribution.sequence.stepsInFlight -= 1;
      if (!contribution.entry.sample) confirm(contribution, contribution.entry.count);
    }
    for (const [index, contribution] of sampled.entries()) {
      const draw = draws[index];
      if (draw === undefined || draw.sequence !== contribution.slot) throw unasked(step);
      this.#take(contribution, draw, step);
    }
    this.#admit();
  }

  /**
   * A step could not be computed: its sequences end with the error, the others go on. `answerIsDue`: the step is still on
   * its way through the other stages, without rows, and the tail will answer it.
   */
  fail(step: number, error: SkeinError, { answerIsDue }: { answerIsDue: boolean }): void {
    const { contributions = [], movedSequences = [] } = this.#inFlight.get(step) ?? {};
    if (answerIsDue) this.#inFlight.set(step, { contributions: [], movedSequences: [] });
    else this.#inFlight.delete(step);
    // Some stage may not have what was swapped out. Before anybody comes back from there.
    this.#admission.forgetCopies();
    this.#operations.push(...this.#cache.forgetSwapped());
    for (const sequence of [...contributions.map((one) => one.sequence), ...movedSequences]) {
      if (sequence.isFinished) continue;
      // What a stage has of them after a failure is not known.
      this.#retire(sequence, { keep: false });
      sequence.request.onError(error);
    }
  }

  /** Lets waiting sequences begin or come back, as long as there is room. */
  #admit(): void {
    for (;;) {
      const admitted = this.#admission.next(this.#running, { mayOpenGrammar: !this.#opensGrammar() });
      if (admitted === undefined) return;
      const { sequence, placement } = admitted;
      const { slot, cachedTokens, operations } = placement;
      this.#operations.push(...operations, this.#sampleWith(sequence, slot));
      sequence.place(slot, cachedTokens, this.#tiledTokens(sequence, cachedTokens));
      this.#running.push(sequence);
      this.#byAge.push(sequence);
    }
  }

  /** Whether the next step opens a grammar. That is work for the tail, which all others in the step wait for. */
  #opensGrammar(): boolean {
    return this.#operations.some(
      (operation) =>
        operation.type === 'sample-with' &&
        operation.sampling.grammar !== undefined &&
        this.#running.some(({ slot }) => slot === operation.sequence),
    );
  }

  /** How the tail draws a sequence's tokens from now on: for one that comes back, as if it had not been away. */
  #sampleWith({ request, tokens, generated, mu }: Sequence, slot: number): CacheOperation {
    const { sampling } = request;
    return {
      type: 'sample-with',
      sequence: slot,
      sampling,
      ...(remembersHistory(sampling) ? { history: [...tokens] } : {}),
      ...(generated === 0 ? {} : { generated }),
      ...(mu === undefined ? {} : { mu }),
    };
  }

  /**
   * Where the part of a prompt ends that is read in tiles. Its last token is not part of it, so that the first token is
   * drawn after the same logits when all before it comes from the cache the next time. A sequence that comes back reads by
   * rows what it has read by rows.
   */
  #tiledTokens({ request, hasBegun, hasTiles }: Sequence, cachedTokens: number): number {
    const { tiles } = this.#options;
    const tokens = request.prompt.length - cachedTokens;
    if (tiles === undefined || tokens < 1) return 0;
    if (hasBegun ? !hasTiles : tokens < tiles.from) return 0;
    return cachedTokens + Math.floor((tokens - 1) / tiles.rows) * tiles.rows;
  }

  /**
   * Micro-batches that may be in flight. A prompt's chunks are as long whatever else is under way, so one more costs nothing, and
   * hides the way between stages. Decoding sequences in smaller micro-batches would read the weights more often.
   */
  #places(): number {
    const { stages } = this.#options;
    const isReading = stages > 1 && this.#running.some(({ unsent }) => unsent > 1);
    return isReading ? stages + 1 : stages;
  }

  /** The oldest operations, as many as a step may hold. */
  #sendableOperations(): CacheOperation[] {
    let historyTokens = 0;
    const end = this.#operations.findIndex((operation, index) => {
      if (operation.type === 'sample-with') historyTokens += operation.history?.length ?? 0;
      return index >= limits.maxOperations || (index > 0 && historyTokens > maxHistoryTokens);
    });
    return this.#operations.slice(0, end === -1 ? undefined : end);
  }

  /** What goes into the next step. Makes room for it where there is little. */
  #compose(): { operations: CacheOperation[]; contributions: readonly Contribution[] } | undefined {
    this.#preemptDrained();
    for (;;) {
      this.#operations.push(...this.#composer.makeRoom(this.#running), ...this.#cache.settle(this.#byAge));
      const operations = this.#sendableOperations();
      // Rows may need what has to wait for another step: then this one goes without rows.
      if (operations.length < this.#operations.length) return { operations, contributions: [] };
      const { contributions, isStarved } = this.#composer.compose(this.#running, this.#inFlight.size);
      const hasRoomNow = isStarved && this.#makeYoungestLeave();
      if (contributions.length > 0) return { operations, contributions };
      if (!hasRoomNow) return undefined;
    }
  }

  /** Sequences whose cells the operations bring from main memory. */
  #movedBy(operations: readonly CacheOperation[]): readonly Sequence[] {
    const slots = operations.flatMap((operation) => (operation.type === 'swap-in' ? operation.sequence : []));
    return slots.length === 0 ? [] : this.#running.filter(({ slot }) => slot !== undefined && slots.includes(slot));
  }

  /** True when the youngest sequence has been preempted, false while rows of one that is to leave are under way. */
  #makeYoungestLeave(): boolean {
    if (this.#leaving !== undefined) return false;
    this.#leaving = invariant(this.#byAge.at(-1), 'a sequence runs that is short of room');
    this.#leaving.isLeaving = true;
    return this.#preemptDrained();
  }

  /** Preempts the sequence that is to leave, when none of its rows is under way any more. */
  #preemptDrained(): boolean {
    const sequence = this.#leaving;
    if (sequence === undefined || sequence.stepsInFlight > 0) return false;
    const { copy, operations } = this.#cache.preempt(this.#dropFromRunning(sequence));
    this.#operations.push(...operations);
    sequence.leave(copy);
    this.#admission.putBack(sequence);
    return true;
  }

  /** Returns the slot that the sequence had. */
  #dropFromRunning(sequence: Sequence): number {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#byAge.splice(this.#byAge.indexOf(sequence), 1);
    if (this.#leaving === sequence) this.#leaving = undefined;
    return invariant(sequence.slot, 'a running sequence has a slot');
  }

  /** Takes the tokens that were drawn after one entry's rows. */
  #take(contribution: Contribution, draw: Sampled['draws'][number], step: number): void {
    const { sequence, epoch, entry } = contribution;
    const { tokens, logprobs, mus } = draw;
    const draft = entry.draft ?? [];
    // After a known token the first draw tells of the first guess; where all are guesses, of the second.
    const confirming = entry.count === draft.length ? draft.slice(1) : draft;
    const isStale = sequence.epoch !== epoch;
    if (draw.error !== undefined) {
      if (sequence.isFinished || isStale) return;
      this.#retire(sequence, { keep: true });
      sequence.request.onError(fromWireError(draw.error));
      return;
    }
    const isPossible =
      sequence.isFinished ||
      (isStale
        ? tokens.length === 0
        : tokens.length >= 1 &&
          tokens.length <= confirming.length + 1 &&
          tokens.slice(0, -1).every((token, index) => token === confirming[index]));
    if (!isPossible) throw unasked(step);
    if (sequence.isFinished || isStale) return;
    confirm(contribution, entry.count - confirming.length + tokens.length - 1);
    for (const [index, token] of tokens.entries()) {
      const isAsGuessed = sequence.accept(token);
      sequence.mu = mus?.[index];
      if (!isAsGuessed) this.#operations.push(this.#cache.cutBack(contribution.slot, sequence.sent));
      if (sequence.request.onToken({ token, logprobs: logprobs?.[index], mu: sequence.mu })) continue;
      this.#retire(sequence, { keep: true });
      return;
    }
  }

  #retire(sequence: Sequence, { keep }: { keep: boolean }): void {
    if (sequence.isFinished) return;
    sequence.isFinished = true;
    if (sequence.slot === undefined) {
      this.#admission.remove(sequence);
      if (sequence.copy !== undefined) this.#operations.push(this.#cache.discard(sequence.copy));
    } else {
      const { tokens, confirmed } = sequence;
      const slot = this.#dropFromRunning(sequence);
      this.#operations.push(...this.#cache.release(slot, tokens, keep ? confirmed : 0));
    }
    this.#admit();
  }
}

/** Some more rows of a sequence are in all caches. */
function confirm({ sequence, epoch, entry }: Contribution, rows: number): void {
  if (sequence.epoch === epoch) sequence.confirmed = Math.max(sequence.confirmed, entry.position + rows);
}

function unasked(step: number): SkeinError {
  return new SkeinError('protocol-violation', `the tail answered step ${step} with tokens that were not asked for`);
}
