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
import {
  cellsForBatch,
  placesInRing,
  planBatch,
  tiledTokens,
  type BatchOptions,
  type PlannedRows,
} from './batch-policy.ts';
import { HeldPrompts, type PrefixNews } from './held-prompts.ts';
import { InFlightLedger, type Contribution } from './in-flight-ledger.ts';
import { OperationQueue } from './operation-queue.ts';
import { PrefixCache, type Placement, type PrefixCacheOptions } from './prefix-cache.ts';
import { RunningSequences } from './running-sequences.ts';
import { sum, type DrawnToken, type Sequence, type SequenceRequest } from './sequence.ts';
import { Speculation, type SpeculationOptions } from './speculation.ts';

export interface SchedulerOptions extends BatchOptions, SpeculationOptions, Pick<PrefixCacheOptions, 'swapTokens'> {
  /** Sequences generated at once. */
  readonly sequences: number;
  /** Number of sequences that the stages tell apart: those above and finished ones that are kept for their prefixes. */
  readonly slots: number;
  /** Tokens of KV cache, shared by all slots. */
  readonly contextTokens: number;
  /** Most requests that wait for a free sequence before more are refused. */
  readonly maxQueued: number;
}

/** A micro-batch to send: the step for the ring and the ids of its rows' tokens, in order. */
export interface ScheduledStep {
  readonly step: Step;
  readonly tokens: Int32Array;
}

/** The outcome of a step for one sequence. The driver of the scheduler carries it out. */
export type Outcome =
  /**
   * Tokens were drawn, at least one. The driver reads them in order, and {@link Scheduler.end | ends} the sequence
   * where it is complete.
   */
  | { readonly type: 'tokens-drawn'; readonly sequence: Sequence; readonly tokens: readonly DrawnToken[] }
  /** The sequence has ended with an error. */
  | { readonly type: 'sequence-failed'; readonly sequence: Sequence; readonly error: SkeinError };

/** A sequence that drew nothing and has ended: it was read to its end, unless there is an error. */
export interface EndedRead {
  readonly sequence: Sequence;
  readonly error: SkeinError | undefined;
}

/**
 * The lead's sequence scheduler: continuous batching over a ring of stages. It is a state machine that calls nobody.
 * Its driver reports events ({@link add}, {@link end}, {@link complete}, {@link fail}), carries out the outcomes that
 * they return, and asks for the {@link next} micro-batch to send.
 *
 * Each part decides one thing and owns its state: {@link Admission} which sequences wait and begin, {@link planBatch}
 * which rows go next, {@link Speculation} which tokens are drafted, {@link InFlightLedger} which steps are under way,
 * {@link PrefixCache} which sequence holds which slot and cells.
 *
 * A sequence takes cells of the KV cache as its rows are sent. When there are none left, finished sequences that were
 * kept go first, then the youngest that runs: it is preempted and comes back, from main memory or computed anew, when
 * there is room. The oldest is never preempted, and the text of none changes. A sequence that draws nothing, since its
 * tokens are read for a generation that will come, or may, runs while nobody waits; at the first want of room it ends, and
 * what it has read is kept as that of any other.
 *
 * Invariants: a sequence's rows are sent in order of position; cache operations are sent in the order in which they
 * were decided, with or before the first rows that need them; only rows that a step has brought back are shared or
 * kept.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #cache: PrefixCache;
  readonly #admission: Admission;
  readonly #speculation: Speculation;
  readonly #running = new RunningSequences();
  readonly #inFlight: InFlightLedger;
  readonly #operations = new OperationQueue();
  readonly #prompts = new HeldPrompts();
  /** Whether answers to another scheduler's steps may come: until the first one to ours, which they are ahead of. */
  #mayHearOthers: boolean;
  #ended = 0;
  #endedReads: EndedRead[] = [];

  /**
   * @param firstStep number of the first step, where another scheduler may have used the stages before: whatever it has left
   * in them is cleared with the first step, and answers to its steps, which may be under way, have other numbers. Default:
   * the stages are new
   */
  constructor(options: SchedulerOptions, firstStep?: number) {
    this.#options = options;
    const { slots, contextTokens, rewinds, swapTokens } = options;
    this.#inFlight = new InFlightLedger(firstStep);
    this.#mayHearOthers = firstStep !== undefined;
    if (firstStep !== undefined) this.#operations.add(...clearing(options));
    this.#cache = new PrefixCache({ slots, cells: contextTokens, keeps: rewinds, swapTokens });
    this.#admission = new Admission(this.#cache, { ...options, shares: rewinds });
    this.#speculation = new Speculation(options);
  }

  /** Number that the next step gets. */
  get nextStep(): number {
    return this.#inFlight.nextStep;
  }

  /** Tells whether an answer is to a step of another scheduler, and so means nothing. */
  isOthers(step: number): boolean {
    if (this.#mayHearOthers && !this.#inFlight.has(step)) return true;
    this.#mayHearOthers = false;
    return false;
  }

  /** Number of sequences that run and draw. */
  get active(): number {
    return sum(this.#running.byAge, ({ draws }) => Number(draws));
  }

  /** Number of sequences that wait, including preempted ones. */
  get queued(): number {
    return this.#admission.size;
  }

  /** Prompt tokens of both that have yet to be read. */
  get waitingTokens(): number {
    const unread = sum(this.#running.byAge, (one) => (one.unsent > 1 && one.draws ? one.unsent : 0));
    return unread + this.#admission.waitingTokens;
  }

  /** The sequence that runs and draws nothing, if there is one. */
  get runningRead(): Sequence | undefined {
    return this.#running.byAge.find(({ draws }) => !draws);
  }

  /** Number of sequences that have run, drawn and ended so far. */
  get ended(): number {
    return this.#ended;
  }

  /** Whether nothing runs, waits or is on its way round the ring. */
  get isIdle(): boolean {
    return this.#running.size + this.#admission.size + this.#admission.reads + this.#inFlight.size === 0;
  }

  /** Returns what the cache holds of which prompts, as far as that has changed since it was asked last. */
  takePrefixNews(): PrefixNews | undefined {
    // Others can't start from what it holds.
    if (!this.#options.rewinds) return undefined;
    this.#prompts.forget(this.#cache.takeGone());
    return this.#prompts.take();
  }

  /** Learns how long the lead's stage took for a micro-batch, in milliseconds. */
  observeCost(step: Pick<Step, 'entries'>, ms: number): void {
    this.#speculation.observe(step, ms);
  }

  /**
   * Takes a request. Its sequence begins at once where there is room.
   *
   * @throws SkeinError `overloaded` when too many wait already, `context-length-exceeded` when it could never fit,
   * `invalid-request` when its prompt is empty
   */
  add(request: SequenceRequest): Sequence {
    const sequence = this.#admission.add(request);
    this.#admit();
    return sequence;
  }

  /**
   * Takes tokens that are to be read, and nothing else, when nobody waits. {@link takeEndedReads} tells of the end.
   *
   * @param request.moves whether a generation is sure to go on behind them: others that are read end for them. Default
   * false
   *
   * @throws SkeinError as {@link add} does
   */
  read({
    tokens,
    ...request
  }: Pick<SequenceRequest, 'id' | 'prompt' | 'moves'> & { readonly tokens: readonly number[] }): Sequence {
    const mostTokens = request.prompt.length + tokens.length;
    const asked = { ...request, resume: { tokens: [...tokens] }, mostTokens, sampling: undefined, speculates: false };
    const sequence = this.#admission.addRead(asked);
    this.#admit();
    return sequence;
  }

  /** Returns the sequences that drew nothing and have ended since it was asked last, other than by {@link end}. */
  takeEndedReads(): readonly EndedRead[] {
    const ended = this.#endedReads;
    this.#endedReads = [];
    return ended;
  }

  /**
   * Ends a sequence that is complete, or that nobody waits for any more. Its slot is free at once; a token for it that
   * is still on its way is dropped. Does nothing when it has ended already.
   *
   * @param options.unread tokens of the last outcome that lie behind its end. Default 0
   * @param options.answer text of its answer, when that is complete. Default: it is not
   */
  end(sequence: Sequence, options: { readonly unread?: number; readonly answer?: string } = {}): void {
    this.#retire(sequence, { keep: true, ...options });
    this.#admit();
  }

  /** Returns the micro-batch to send now, or undefined when nothing is ready, or the ring is full. */
  next(): ScheduledStep | undefined {
    this.#admit();
    if (this.#inFlight.size >= placesInRing(this.#running.byTurn, this.#options.stages)) return undefined;
    const due = this.#compose();
    if (due === undefined) return undefined;
    const { operations, contributions } = due;
    this.#operations.drop(operations.length);
    const tokens: number[] = [];
    for (const { sequence, entry } of contributions) {
      const { position, count, draft = [] } = entry;
      for (let index = position; index < position + count - draft.length; index += 1) {
        tokens.push(invariant(sequence.tokens[index], 'the rows of an entry that are no drafts are known tokens'));
      }
      tokens.push(...draft);
    }
    const step = this.#inFlight.enter(contributions, operations);
    const entries = contributions.map(({ entry }) => entry);
    return { step: { type: 'step', step, operations, entries }, tokens: Int32Array.from(tokens) };
  }

  /**
   * Takes the tail's answer to a step.
   *
   * @throws SkeinError `protocol-violation` for an answer that does not fit a step in flight; nothing has changed then
   */
  complete(step: number, draws: Sampled['draws']): readonly Outcome[] {
    const answered = this.#inFlight.complete(step, draws);
    const read = this.runningRead;
    if (read?.isRead === true) this.#endRead(read);
    return answered.map(({ sequence, slot, draw }) => {
      if (draw.error !== undefined) {
        this.#retire(sequence, { keep: true });
        return { type: 'sequence-failed', sequence, error: fromWireError(draw.error) };
      }
      if (draw.tokens.length > 0) this.#prompts.read(sequence);
      return { type: 'tokens-drawn', sequence, tokens: this.#accept(sequence, slot, draw) };
    });
  }

  /**
   * Takes the news that a step could not be computed. Its sequences end with the error, the others go on.
   *
   * @param options.answerIsDue the step is still on its way through the other stages, without rows, and the tail will
   * answer it
   */
  fail(step: number, error: SkeinError, { answerIsDue }: { readonly answerIsDue: boolean }): readonly Outcome[] {
    const { sequences, slots } = this.#inFlight.fail(step, { answerIsDue, unsent: this.#operations.all });
    // Some stage may not have what was swapped out: forgotten before anybody comes back from there.
    this.#admission.forgetCopies();
    this.#operations.add(...this.#cache.forgetSwapped(), ...this.#cache.forgetKept(slots));
    const moved = this.#running.byAge.filter(({ slot }) => slot !== undefined && slots.has(slot));
    const failed: Outcome[] = [];
    for (const sequence of new Set([...sequences, ...moved])) {
      if (sequence.isFinished) continue;
      this.#retire(sequence, { keep: false });
      if (sequence.draws) failed.push({ type: 'sequence-failed', sequence, error });
      else this.#endedReads.push({ sequence, error });
    }
    this.#admit();
    return failed;
  }

  /** Begins waiting sequences, or brings them back, as long as there is room. */
  #admit(): void {
    for (;;) {
      const admitted = this.#admission.next(this.#running.byTurn, { mayOpenGrammar: !this.#opensGrammar() });
      if (admitted !== undefined) this.#begin(admitted.sequence, admitted.placement);
      // A request may wait for the very room of a text that is only read.
      else if (this.#admission.size === 0 || !this.#giveUpRead()) break;
    }
    if (this.#admission.hasMoving && this.runningRead?.moves === false) this.#giveUpRead();
    for (;;) {
      const next = this.#admission.nextRead(this.#running.byTurn);
      if (next === undefined) return;
      const { sequence, placement } = next;
      if (placement !== undefined) this.#begin(sequence, placement);
      else this.#refuseRead(sequence);
    }
  }

  #begin(sequence: Sequence, { slot, cachedTokens, operations }: Placement): void {
    this.#operations.add(...operations, ...sampleWith(sequence, slot));
    sequence.place(slot, cachedTokens, tiledTokens(sequence, cachedTokens, this.#options.tiles));
    this.#running.add(sequence);
    this.#prompts.begin(sequence, cachedTokens);
  }

  /** Ends the sequence that draws nothing, so that others get its room. Returns false where there is none. */
  #giveUpRead(): boolean {
    const read = this.runningRead;
    if (read !== undefined) this.#endRead(read, noRoomToRead());
    return read !== undefined;
  }

  #endRead(sequence: Sequence, error?: SkeinError): void {
    if (error === undefined) this.#prompts.read(sequence);
    this.#retire(sequence, { keep: true });
    this.#endedReads.push({ sequence, error });
  }

  /** Ends a sequence that draws nothing, and for which there is no room. */
  #refuseRead(sequence: Sequence): void {
    sequence.finish({ unread: 0 });
    this.#endedReads.push({ sequence, error: noRoomToRead() });
  }

  /** Tells whether the next step opens a grammar. That is work for the tail, which all others in the step wait for. */
  #opensGrammar(): boolean {
    return this.#operations.all.some(
      (operation) =>
        operation.type === 'sample-with' &&
        operation.sampling.grammar !== undefined &&
        this.#running.byTurn.some(({ slot }) => slot === operation.sequence),
    );
  }

  /** Returns the contents of the next step. Makes room for it where there is little. */
  #compose(): { operations: CacheOperation[]; contributions: readonly Contribution[] } | undefined {
    this.#preemptDrained();
    for (;;) {
      const cells = cellsForBatch(this.#running.byTurn, this.#options);
      this.#operations.add(
        ...this.#cache.makeRoom(cells),
        ...this.#cache.settle(this.#running.byAge, { spare: cells }),
      );
      const { operations, isAll } = this.#operations.head();
      // Rows may need what has to wait for another step: then this one goes without rows.
      if (!isAll) return { operations, contributions: [] };
      const { rows, isStarved } = this.#planRows();
      const contributions = rows.map((planned) => this.#send(planned));
      const read = this.runningRead;
      if (contributions.length > 0 && !contributions.some(({ sequence }) => sequence === read)) read?.letPass();
      const hasRoomNow = isStarved && (this.#giveUpRead() || this.#makeYoungestLeave());
      if (contributions.length > 0) return { operations, contributions };
      if (!hasRoomNow) return undefined;
    }
  }

  #planRows(): { readonly rows: readonly PlannedRows<Sequence>[]; readonly isStarved: boolean } {
    const { freeCells } = this.#cache;
    const { rows, isStarved, draftRoom } = planBatch(this.#running.byTurn, freeCells, this.#options);
    if (rows.length > 0) {
      const withDrafts = this.#speculation.behind(rows, draftRoom, this.#running.size);
      for (const { sequence } of rows) this.#running.passTurn(sequence);
      return { rows: withDrafts, isStarved };
    }
    const hasEmptyPlace = this.#inFlight.size > 0 && this.#inFlight.size < this.#options.stages;
    const isAhead = hasEmptyPlace && !isStarved;
    return { rows: isAhead ? this.#speculation.ahead(this.#running.byTurn, freeCells) : [], isStarved };
  }

  /** Sends rows, which take their cells in the order in which they are sent. */
  #send({ sequence, knownTokens, draft }: PlannedRows<Sequence>): Contribution {
    const entry = sequence.send(knownTokens, draft);
    this.#cache.grow(entry.sequence, entry.position + entry.count);
    return { sequence, epoch: sequence.epoch, entry };
  }

  /** Takes the tokens that were drawn for a sequence. */
  #accept(
    sequence: Sequence,
    slot: number,
    { tokens, logprobs, mus }: Sampled['draws'][number],
  ): readonly DrawnToken[] {
    return tokens.map((token, index) => {
      const mu = mus?.[index];
      const verdict = sequence.accept(token, mu);
      if (verdict === 'fallen') this.#operations.add(this.#cache.cutBack(slot, sequence.sent));
      return { token, logprobs: logprobs?.[index], mu, isDraft: verdict === 'stands' };
    });
  }

  /** Makes the youngest sequence leave. Returns true when it has been preempted, false while rows of it are under way. */
  #makeYoungestLeave(): boolean {
    if (this.#leaving() !== undefined) return false;
    invariant(this.#running.byAge.at(-1), 'a sequence runs that is short of room').prepareToLeave();
    return this.#preemptDrained();
  }

  /** Preempts the sequence that is to leave, when none of its rows is under way any more. */
  #preemptDrained(): boolean {
    const sequence = this.#leaving();
    if (sequence === undefined || sequence.stepsInFlight > 0) return false;
    const slot = invariant(sequence.slot, 'a running sequence has a slot');
    const { copy, operations } = this.#cache.preempt(slot);
    this.#operations.add(...operations);
    this.#running.remove(sequence);
    if (copy === undefined) this.#prompts.end(sequence, 0);
    sequence.leave(copy);
    this.#admission.putBack(sequence);
    return true;
  }

  #leaving(): Sequence | undefined {
    return this.#running.byAge.find(({ isLeaving }) => isLeaving);
  }

  #retire(
    sequence: Sequence,
    { keep, unread = 0, answer }: { readonly keep: boolean; readonly unread?: number; readonly answer?: string },
  ): void {
    if (sequence.isFinished) return;
    const { slot, copy, confirmed } = sequence;
    sequence.finish({ unread });
    if (slot === undefined) {
      this.#admission.remove(sequence);
      if (copy !== undefined) this.#operations.add(this.#cache.discard(copy));
      this.#prompts.forget([sequence.request.id]);
    } else {
      this.#running.remove(sequence);
      this.#ended += Number(sequence.draws);
      this.#prompts.end(sequence, keep ? confirmed : 0, answer);
      this.#operations.add(...this.#cache.release(slot, sequence.tokens, keep ? confirmed : 0));
    }
  }
}

/**
 * Makes the operation that sets how the tail draws a sequence's tokens: for one that comes back, as if it had not been
 * away; none for one that draws nothing.
 */
function sampleWith({ request, tokens, generated, mu }: Sequence, slot: number): readonly CacheOperation[] {
  const { sampling } = request;
  if (sampling === undefined) return [];
  return [
    {
      type: 'sample-with',
      sequence: slot,
      sampling,
      ...(remembersHistory(sampling) ? { history: [...tokens] } : {}),
      ...(generated === 0 ? {} : { generated }),
      ...(mu === undefined ? {} : { mu }),
    },
  ];
}

function noRoomToRead(): SkeinError {
  return new SkeinError('overloaded', 'others need the room in which the text would be read along');
}

/** Returns the operations that leave nothing in the caches of the stages, whatever is there. */
function clearing({ slots, swapTokens }: SchedulerOptions): readonly CacheOperation[] {
  const places = swapTokens === 0 ? 0 : limits.maxSwappedSequences;
  return [
    ...Array.from({ length: slots }, (_, sequence) => ({ type: 'remove' as const, sequence, from: 0 })),
    ...Array.from({ length: places }, (_, place) => ({ type: 'swap-discard' as const, place })),
  ];
}
