import {
  SkeinError,
  type CacheOperation,
  type Sampled,
  type Sampling,
  type Step,
  type StepEntry,
} from '@skein/protocol';

export interface SchedulerOptions {
  /** Stages of the pipeline: that many micro-batches may be in flight. */
  readonly stages: number;
  /** Sequences generated at once. */
  readonly sequences: number;
  /** Tokens of KV cache, shared by all sequences. */
  readonly contextTokens: number;
  /** Largest micro-batch, in rows. */
  readonly batchTokens: number;
  /** Requests that may wait for a free sequence before more are refused. */
  readonly maxQueued: number;
}

export interface SequenceRequest {
  readonly prompt: readonly number[];
  readonly sampling: Sampling;
  /** Tokens of KV cache kept for it. It never has more: `onToken` answers false in time. */
  readonly reservedTokens: number;
  /** Called for each token. Answer true to go on, false when the sequence is complete. */
  onToken(token: number): boolean;
  onError(error: SkeinError): void;
}

/** A micro-batch on its way: the step for the ring and the ids of its rows' tokens, in order. */
export interface ScheduledStep {
  readonly step: Step;
  readonly tokens: Int32Array;
}

/** A sequence that waits or runs. Opaque; give it back to {@link Scheduler.cancel}. */
export interface Sequence {
  readonly request: SequenceRequest;
  /** Prompt and generated tokens. */
  readonly tokens: number[];
  /** How many of the tokens have been sent through the stages. */
  sent: number;
  slot: number | undefined;
  finished: boolean;
}

/** A sequence that a token is due for, and the slot it had when the step was sent. */
interface SampledSlot {
  readonly sequence: Sequence;
  readonly slot: number;
}

/**
 * The lead's sequence scheduler: continuous batching over a ring of stages. A pure state machine: `next` composes the
 * micro-batch to send, `complete` takes the tail's answer.
 *
 * Invariants: a sequence's rows are sent in order of position; cache operations are sent with, and applied before, the
 * first rows that need them; a slot that is free again is cleared by the next step, before anything reuses it.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #freeSlots: number[];
  readonly #inFlight = new Map<number, { all: readonly Sequence[]; sampled: readonly SampledSlot[] }>();
  /** Slots whose cells are to be forgotten with the next step. */
  readonly #freed = new Set<number>();
  #nextStep = 0;
  #freeTokens: number;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#freeTokens = options.contextTokens;
    this.#freeSlots = Array.from({ length: options.sequences }, (_, index) => options.sequences - 1 - index);
  }

  get active(): number {
    return this.#running.length;
  }

  get queued(): number {
    return this.#waiting.length;
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
    const sequence: Sequence = { request, tokens: [...request.prompt], sent: 0, slot: undefined, finished: false };
    this.#waiting.push(sequence);
    this.#admit();
    return sequence;
  }

  /** Frees a sequence at once; a token for it that is still on its way is dropped. */
  cancel(sequence: Sequence): void {
    this.#retire(sequence);
  }

  /** The micro-batch to send now, or undefined: nothing is ready, or the ring is full. */
  next(): ScheduledStep | undefined {
    if (this.#inFlight.size >= this.#options.stages) return undefined;
    const chosen = this.#choose();
    if (chosen.length === 0) return undefined;

    const operations: CacheOperation[] = [...this.#freed].map((slot) => ({ type: 'remove', sequence: slot, from: 0 }));
    this.#freed.clear();
    const entries: StepEntry[] = [];
    const tokens: number[] = [];
    const sampled: SampledSlot[] = [];
    for (const { sequence, slot, count } of chosen) {
      const position = sequence.sent;
      if (position === 0) operations.push({ type: 'sample-with', sequence: slot, sampling: sequence.request.sampling });
      sequence.sent += count;
      const sample = sequence.sent === sequence.tokens.length;
      entries.push({ sequence: slot, position, count, sample });
      for (let index = position; index < sequence.sent; index += 1) tokens.push(sequence.tokens[index] ?? 0);
      if (sample) sampled.push({ sequence, slot });
    }
    const step: Step = { type: 'step', step: this.#nextStep, operations, entries };
    this.#nextStep += 1;
    this.#inFlight.set(step.step, { all: chosen.map(({ sequence }) => sequence), sampled });
    return { step, tokens: Int32Array.from(tokens) };
  }

  /** Takes the tail's answer. Throws `protocol-violation` for one that does not fit a step in flight. */
  complete(step: number, tokens: Sampled['tokens']): void {
    const sampled = this.#inFlight.get(step)?.sampled;
    if (sampled === undefined || sampled.length !== tokens.length || !tokens.every(isForSlotOf(sampled))) {
      throw new SkeinError(
        'protocol-violation',
        `the tail answered step ${step} with ${tokens.length} tokens, which were not asked for`,
      );
    }
    this.#inFlight.delete(step);
    for (const [index, { sequence }] of sampled.entries()) {
      const token = tokens[index]?.token;
      if (sequence.finished || token === undefined) continue;
      sequence.tokens.push(token);
      if (!sequence.request.onToken(token)) this.#retire(sequence);
    }
  }

  /**
   * A step could not be computed: its sequences end with the error, the others go on. `answerIsDue`: the step is still on
   * its way through the other stages, without rows, and the tail will answer it.
   */
  fail(step: number, error: SkeinError, { answerIsDue }: { answerIsDue: boolean }): void {
    const sequences = this.#inFlight.get(step)?.all ?? [];
    if (answerIsDue) this.#inFlight.set(step, { all: [], sampled: [] });
    else this.#inFlight.delete(step);
    for (const sequence of sequences) this.#end(sequence, error);
  }

  /** Gives waiting sequences a slot, first come first served, as long as their tokens fit. */
  #admit(): void {
    for (;;) {
      const sequence = this.#waiting[0];
      if (sequence === undefined || sequence.request.reservedTokens > this.#freeTokens) return;
      const slot = this.#freeSlots.pop();
      if (slot === undefined) return;
      this.#waiting.shift();
      this.#freeTokens -= sequence.request.reservedTokens;
      sequence.slot = slot;
      this.#running.push(sequence);
    }
  }

  /**
   * Decoding sequences first, then prompts in chunks, up to a micro-batch. No more sequences than a fair share of the
   * active ones, so that the others can fill the ring's other places.
   */
  #choose(): { sequence: Sequence; slot: number; count: number }[] {
    const share = Math.ceil(this.#running.length / this.#options.stages);
    const ready = this.#running.filter((sequence) => sequence.sent < sequence.tokens.length);
    ready.sort((a, b) => Number(unsent(a) > 1) - Number(unsent(b) > 1));
    const chosen: { sequence: Sequence; slot: number; count: number }[] = [];
    let room = this.#options.batchTokens;
    for (const sequence of ready.slice(0, share)) {
      const count = Math.min(unsent(sequence), room);
      if (count === 0 || sequence.slot === undefined) break;
      chosen.push({ sequence, slot: sequence.slot, count });
      room -= count;
    }
    // Round robin: those that were served go behind the ones that were not.
    for (const { sequence } of chosen) {
      this.#running.splice(this.#running.indexOf(sequence), 1);
      this.#running.push(sequence);
    }
    return chosen;
  }

  #end(sequence: Sequence, error: SkeinError): void {
    if (sequence.finished) return;
    this.#retire(sequence);
    sequence.request.onError(error);
  }

  #retire(sequence: Sequence): void {
    if (sequence.finished) return;
    sequence.finished = true;
    if (sequence.slot === undefined) {
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    } else {
      this.#running.splice(this.#running.indexOf(sequence), 1);
      this.#freeSlots.push(sequence.slot);
      this.#freed.add(sequence.slot);
      this.#freeTokens += sequence.request.reservedTokens;
    }
    this.#admit();
  }
}

function unsent(sequence: Sequence): number {
  return sequence.tokens.length - sequence.sent;
}

/** Whether a token is the answer for the sequence at its place. */
function isForSlotOf(sampled: readonly SampledSlot[]) {
  return ({ sequence }: Sampled['tokens'][number], index: number): boolean => sampled[index]?.slot === sequence;
}
