import { invariant, type Sampled, type Sampling, type SkeinError } from '@skein/protocol';

import { Scheduler, type EndedRead, type Outcome, type ScheduledStep, type SchedulerOptions } from '../scheduler.ts';
import type { Sequence, SequenceRequest } from '../sequence.ts';

/** A request whose sequence is complete after so many tokens. */
export interface Asked extends Omit<SequenceRequest, 'id' | 'mostTokens' | 'sampling'> {
  readonly sampling: Sampling;
  readonly count: number;
}

/** The outcome of a request so far. */
export interface Watched {
  readonly request: Asked;
  readonly sequence: Sequence;
  readonly received: number[];
  readonly errors: SkeinError[];
  /** Number of received tokens that had been drafted. */
  acceptedTokens: number;
  isCancelled: boolean;
}

/** A driver of a scheduler that does as the lead does: it carries out its outcomes, and ends sequences that are complete. */
export class SchedulerDriver {
  readonly scheduler: Scheduler;
  readonly #watched = new Map<Sequence, Watched>();
  readonly #endedReads: EndedRead[] = [];
  #reads = 0;

  constructor(options: SchedulerOptions) {
    this.scheduler = new Scheduler(options);
  }

  add(request: Asked): Watched {
    const { prompt, count } = request;
    const id = `${this.#watched.size}`;
    const sequence = this.scheduler.add({ ...request, id, mostTokens: prompt.length + count });
    const watched = { request, sequence, received: [], errors: [], acceptedTokens: 0, isCancelled: false };
    this.#watched.set(sequence, watched);
    return watched;
  }

  /** Has a text read, and nothing drawn. */
  read(
    prompt: readonly number[],
    { tokens = [], moves }: { readonly tokens?: readonly number[]; readonly moves?: boolean } = {},
  ): Sequence {
    return this.scheduler.read({ id: `read ${(this.#reads += 1)}`, prompt, tokens, moves });
  }

  /** Returns the readings that have ended so far. */
  endedReads(): readonly EndedRead[] {
    this.#endedReads.push(...this.scheduler.takeEndedReads());
    return this.#endedReads;
  }

  next(): ScheduledStep | undefined {
    return this.scheduler.next();
  }

  complete(step: number, draws: Sampled['draws']): void {
    this.#carryOut(this.scheduler.complete(step, draws));
  }

  fail(...parameters: Parameters<Scheduler['fail']>): void {
    this.#carryOut(this.scheduler.fail(...parameters));
  }

  cancel(watched: Watched): void {
    watched.isCancelled = true;
    this.scheduler.end(watched.sequence);
  }

  #carryOut(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const watched = invariant(this.#watched.get(outcome.sequence), 'outcomes are those of requests');
      if (outcome.type === 'sequence-failed') watched.errors.push(outcome.error);
      else this.#read(outcome, watched);
    }
  }

  #read({ sequence, tokens }: Extract<Outcome, { type: 'tokens-drawn' }>, watched: Watched): void {
    const { count } = watched.request;
    const read = tokens.slice(0, count - watched.received.length);
    for (const { token, isDraft } of read) {
      watched.received.push(token);
      watched.acceptedTokens += Number(isDraft);
    }
    if (watched.received.length === count) this.scheduler.end(sequence, { unread: tokens.length - read.length });
  }
}
