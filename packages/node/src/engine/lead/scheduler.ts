import {
  fromWireError,
  invariant,
  limits,
  SkeinError,
  type CacheOperation,
  type Sampled,
  type Step,
  type StepEntry,
} from '@skein/protocol';

import { remembersHistory } from '../stage/sampling/remembers-history.ts';
import { commonPrefix } from './common-prefix.ts';
import { PrefixCache, type PrefixCacheOptions } from './prefix-cache.ts';
import { Sequence, type SequenceRequest } from './sequence.ts';
import { bestDraftLength, StepCosts, type StepCost } from './step-costs.ts';

export interface SchedulerOptions extends Pick<PrefixCacheOptions, 'swapTokens'> {
  /** Stages of the pipeline: that many micro-batches are in flight, and of a prompt's chunks one more. */
  readonly stages: number;
  /** Sequences generated at once. */
  readonly sequences: number;
  /** Sequences that the stages tell apart: those above and finished ones that are kept for their prefixes. */
  readonly slots: number;
  /** Tokens of KV cache, shared by all slots. */
  readonly contextTokens: number;
  /** Largest micro-batch, in rows. */
  readonly batchTokens: number;
  /** Most prompt rows in a micro-batch: short enough for a prompt's chunks to fill the ring, long enough to compute well. */
  readonly chunkTokens: number;
  /** How long prompts are read where attention in tiles is faster and rounds otherwise; absent where it is all the same. */
  readonly tiles?: TileOptions | undefined;
  /** Most guesses in a micro-batch. */
  readonly draftTokens: number;
  /** Whether caches can be cut back to any position: prefixes are shared, and guesses made, only where they can. */
  readonly rewinds: boolean;
  /** What steps in which all rows decode were measured to cost on the lead's stage. More is learned as it goes on. */
  readonly stepCosts: readonly StepCost[];
  /** Requests that may wait for a free sequence before more are refused. */
  readonly maxQueued: number;
}

export interface TileOptions {
  /** Rows of a micro-batch from which on attention is computed in tiles. More than `batchTokens`. */
  readonly rows: number;
  /** Tokens of a prompt still to be read that make it worth while. */
  readonly from: number;
}

/** A micro-batch on its way: the step for the ring and the ids of its rows' tokens, in order. */
export interface ScheduledStep {
  readonly step: Step;
  readonly tokens: Int32Array;
}

/** What one sequence has in a step. */
interface Contribution {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly epoch: number;
  readonly entry: StepEntry;
}

interface StepInFlight {
  readonly contributions: readonly Contribution[];
}

/** A prompt waits for another one that is being read when it would save at least this many tokens. */
const worthWaitingTokens = 16;
/** Predictions that come true less often than this are not worth even a place in the ring that would stay empty. */
const leastHitRate = 0.1;
/** History tokens that samplers get told about in one step. Bounds a step's header. */
const maxHistoryTokens = limits.maxPromptTokens;

/**
 * The lead's sequence scheduler: continuous batching over a ring of stages. A pure state machine: `next` composes the
 * micro-batch to send, `complete` takes the tail's answer.
 *
 * Invariants: a sequence's rows are sent in order of position; cache operations are sent in the order in which they were
 * decided, with or before the first rows that need them; only rows that a step has brought back are shared or kept.
 *
 * Speculation: where it pays by {@link bestDraftLength}, a decoding sequence sends guesses behind its token. And where the
 * ring would have an empty place, with less under way than there are stages since all sequences wait for the tail, guesses go
 * ahead of the answer: if they are right the next token is already on its way, if not a machine has computed that had nothing
 * to do.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #cache: PrefixCache;
  readonly #costs = new StepCosts();
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #inFlight = new Map<number, StepInFlight>();
  /** Decided and not sent yet. */
  #operations: CacheOperation[] = [];
  #nextStep = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    const { slots, contextTokens, rewinds, swapTokens, stepCosts } = options;
    this.#cache = new PrefixCache({ slots, cells: contextTokens, keeps: rewinds, swapTokens });
    for (const { rows, ms } of stepCosts) this.#costs.observe('decode', rows, ms);
  }

  get active(): number {
    return this.#running.length;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  /** Whether nothing runs, waits or is on its way round the ring. */
  get isIdle(): boolean {
    return this.#running.length === 0 && this.#waiting.length === 0 && this.#inFlight.size === 0;
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
    if (request.reservedTokens > contextTokens) {
      throw new SkeinError(
        'context-length-exceeded',
        `${request.reservedTokens} tokens are needed where the context holds ${contextTokens}; shorten the prompt or deploy with a larger context`,
      );
    }
    if (this.#waiting.length >= maxQueued) {
      throw new SkeinError('overloaded', `${maxQueued} requests wait already; try again later or add a machine`);
    }
    const sequence = new Sequence(request);
    this.#waiting.push(sequence);
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
    const operations = this.#sendableOperations();
    // Rows may need what has to wait for another step: then this one goes without rows.
    const isComplete = operations.length === this.#operations.length;
    const contributions = isComplete ? this.#compose() : [];
    if (isComplete && contributions.length === 0) return undefined;
    this.#operations = this.#operations.slice(operations.length);
    const tokens: number[] = [];
    for (const { sequence, entry } of contributions) {
      const known = entry.count - (entry.draft?.length ?? 0);
      for (let index = entry.position; index < entry.position + known; index += 1) {
        tokens.push(invariant(sequence.tokens[index], 'the rows of an entry that are no drafts are known tokens'));
      }
      tokens.push(...(entry.draft ?? []));
    }
    const entries = contributions.map(({ entry }) => entry);
    const step: Step = { type: 'step', step: this.#nextStep, operations, entries };
    this.#nextStep += 1;
    this.#inFlight.set(step.step, { contributions });
    return { step, tokens: Int32Array.from(tokens) };
  }

  /** Takes the tail's answer. Throws `protocol-violation` for one that does not fit a step in flight. */
  complete(step: number, draws: Sampled['draws']): void {
    const contributions = this.#inFlight.get(step)?.contributions;
    const sampled = contributions?.filter(({ entry }) => entry.sample);
    if (contributions === undefined || sampled?.length !== draws.length) throw unasked(step);
    this.#inFlight.delete(step);
    for (const contribution of contributions) {
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
    const contributions = this.#inFlight.get(step)?.contributions ?? [];
    if (answerIsDue) this.#inFlight.set(step, { contributions: [] });
    else this.#inFlight.delete(step);
    for (const { sequence } of contributions) {
      if (sequence.isFinished) continue;
      // What a stage has of them after a failure is not known.
      this.#retire(sequence, { keep: false });
      sequence.request.onError(error);
    }
    this.#operations.push(...this.#cache.forgetSwapped());
  }

  /** Gives waiting sequences a slot, first come first served, as long as their tokens fit. */
  #admit(): void {
    for (const sequence of Array.from(this.#waiting)) {
      if (this.#running.length >= this.#options.sequences) return;
      const { prompt, reservedTokens, sampling } = sequence.request;
      if (this.#isBeingRead(prompt, reservedTokens)) continue;
      const sources = this.#running.flatMap(({ slot, tokens, confirmed }) =>
        slot === undefined ? [] : [{ slot, tokens, confirmed }],
      );
      const placement = this.#cache.place(prompt, reservedTokens, sources);
      if (placement === undefined) return;
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
      const { slot, cachedTokens, operations } = placement;
      this.#operations.push(...operations, {
        type: 'sample-with',
        sequence: slot,
        sampling,
        ...(remembersHistory(sampling) ? { history: prompt } : {}),
      });
      sequence.place(slot, cachedTokens, this.#tiledTokens(prompt.length, cachedTokens));
      this.#running.push(sequence);
    }
  }

  /**
   * Where the part of a prompt ends that is read in tiles. Its last token is not part of it, so that the first token is
   * drawn after the same logits when all before it comes from the cache the next time.
   */
  #tiledTokens(promptTokens: number, cachedTokens: number): number {
    const { tiles } = this.#options;
    const tokens = promptTokens - cachedTokens;
    if (tiles === undefined || tokens < tiles.from) return 0;
    return cachedTokens + Math.floor((tokens - 1) / tiles.rows) * tiles.rows;
  }

  /** Whether a running sequence is about to have computed much more of this prompt than any has now. */
  #isBeingRead(prompt: readonly number[], length: number): boolean {
    if (!this.#options.rewinds) return false;
    let [promised, ready] = [0, this.#cache.longestKept(prompt, length)];
    for (const { tokens, confirmed } of this.#running) {
      const common = commonPrefix(tokens, prompt, prompt.length - 1);
      promised = Math.max(promised, common);
      ready = Math.max(ready, Math.min(common, confirmed));
    }
    return promised - ready >= worthWaitingTokens;
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

  /**
   * Decoding sequences first, then prompts in chunks, up to a micro-batch. No more sequences than a fair share of the
   * active ones, so that the others can fill the ring's other places. A tile goes alone, when it is its sequence's turn: it
   * would change how the rows of others are rounded.
   */
  #compose(): Contribution[] {
    const { stages, batchTokens, chunkTokens, draftTokens } = this.#options;
    const share = Math.ceil(this.#running.length / stages);
    const ready = this.#running.filter(({ unsent }) => unsent > 0);
    const [first] = ready;
    const hasEmptyPlace = this.#inFlight.size > 0 && this.#inFlight.size < stages;
    if (first === undefined) return hasEmptyPlace ? this.#guessAhead() : [];
    if (first.readsTiles) {
      const { rows } = invariant(this.#options.tiles, 'only a scheduler with tiles plans to read in tiles');
      return this.#served([this.#contribute(first, rows, [])]);
    }
    const byRows = ready.filter(({ readsTiles }) => !readsTiles);
    byRows.sort((one, other) => Number(one.unsent > 1) - Number(other.unsent > 1));
    const contributions: Contribution[] = [];
    const room = { rows: batchTokens, promptRows: chunkTokens, drafts: draftTokens };
    for (const sequence of byRows.slice(0, share)) {
      const isDecoding = sequence.unsent === 1;
      const count = isDecoding ? Math.min(1, room.rows) : Math.min(sequence.unsent, room.rows, room.promptRows);
      if (count === 0) break;
      contributions.push(this.#contribute(sequence, count, []));
      room.rows -= count;
      if (!isDecoding) room.promptRows -= count;
    }
    if (room.promptRows === chunkTokens) this.#addDrafts(contributions, room);
    return this.#served(contributions);
  }

  /** Round robin: those that were served go behind the ones that were not. */
  #served(contributions: Contribution[]): Contribution[] {
    for (const { sequence } of contributions) {
      this.#running.splice(this.#running.indexOf(sequence), 1);
      this.#running.push(sequence);
    }
    return contributions;
  }

  /** Puts guesses behind the tokens of a micro-batch in which all decode, where that is expected to pay. */
  #addDrafts(contributions: Contribution[], room: { rows: number; drafts: number }): void {
    let rows = contributions.length;
    for (const [index, { sequence }] of contributions.entries()) {
      // All sequences wait for the slowest micro-batch of a full ring.
      const length = this.#draftLength(sequence, rows, this.#running.length, Math.min(room.rows, room.drafts));
      if (length === 0) continue;
      const draft = sequence.lookup.predict(0, length);
      if (draft.length === 0) continue;
      sequence.sent -= 1;
      contributions[index] = this.#contribute(sequence, 1, draft);
      rows += draft.length;
      room.rows -= draft.length;
      room.drafts -= draft.length;
    }
  }

  /** One sequence's guesses for a place in the ring that would stay empty. */
  #guessAhead(): Contribution[] {
    for (const sequence of this.#running) {
      if (!this.#mayDraft(sequence) || sequence.unsent > 0 || sequence.draftRoom === 0) continue;
      if (sequence.lookup.hitRate < leastHitRate) continue;
      const length = Math.max(1, this.#draftLength(sequence, 0, 0, this.#options.draftTokens));
      const draft = sequence.lookup.predict(sequence.guessed.length, length);
      if (draft.length > 0) return [this.#contribute(sequence, 0, draft)];
    }
    return [];
  }

  #mayDraft(sequence: Sequence): boolean {
    const isGenerating = sequence.tokens.length > sequence.request.prompt.length;
    return isGenerating && sequence.request.speculates && this.#options.rewinds;
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

  #contribute(sequence: Sequence, known: number, draft: readonly number[]): Contribution {
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

  /** Takes the tokens that were drawn after one entry's rows. */
  #take(contribution: Contribution, draw: Sampled['draws'][number], step: number): void {
    const { sequence, epoch, entry } = contribution;
    const { tokens, logprobs } = draw;
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
      if (!isAsGuessed) this.#operations.push({ type: 'remove', sequence: contribution.slot, from: sequence.sent });
      if (sequence.request.onToken(token, logprobs?.[index])) continue;
      this.#retire(sequence, { keep: true });
      return;
    }
  }

  #retire(sequence: Sequence, { keep }: { keep: boolean }): void {
    if (sequence.isFinished) return;
    sequence.isFinished = true;
    if (sequence.slot === undefined) {
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    } else {
      this.#running.splice(this.#running.indexOf(sequence), 1);
      const { slot, tokens, confirmed } = sequence;
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
