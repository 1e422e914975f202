import { SkeinError, stepSchema, type CacheOperation, type Sampled, type Sampling, type Step } from '@skein/protocol';

import { Verification } from '../../stage/verification.ts';
import type { ScheduledStep } from '../scheduler.ts';
import type { SchedulerDriver } from './scheduler-driver.ts';
import { SimulatedCache, type SimulatedCacheOptions } from './simulated-cache.ts';

/** Mirostat's state at the beginning of a sequence. */
const firstMu = 7;

/** Returns the next token of a pretended model: repetitive, as texts are, but with turns that no lookup foresees. */
export function nextToken(text: readonly number[], mu: number): number {
  const { length } = text;
  const turn = length % 23 === 0 ? (text[0] ?? 0) + length : 0;
  return ((text[length - 5] ?? 3) + turn + mu) % 50;
}

function nextMu(mu: number, token: number): number {
  return (mu * 31 + token) % 97;
}

/** Continues a prompt as a model would that serves nobody else. */
export function expectedTokens(prompt: readonly number[], count: number, { mirostat }: Sampling): number[] {
  const text = [...prompt];
  let mu = mirostat === undefined ? 0 : firstMu;
  while (text.length < prompt.length + count) {
    const token = nextToken(text, mu);
    text.push(token);
    if (mirostat !== undefined) mu = nextMu(mu, token);
  }
  return text.slice(prompt.length);
}

interface SamplerState {
  readonly sampling: Sampling;
  /** Tokens that it was told or has drawn, where it looks back at them. */
  readonly remembered: number[] | undefined;
  mu: number;
}

/**
 * A ring without arithmetic: a cache, which is alike on every stage, and a tail that continues its content. It throws
 * where a real one would have been wrong: see {@link SimulatedCache}, and a sampler that forgot.
 */
export class SimulatedRing {
  readonly #cache: SimulatedCache;
  readonly #samplers = new Map<number, SamplerState>();
  readonly #queue: ScheduledStep[] = [];
  readonly #verification: Verification;
  /** Position from which on the content of a slot is unknown after a failed step, until that is removed. By slot. */
  readonly #broken = new Map<number, number>();
  /** Places to which such a slot was swapped out. */
  readonly #brokenPlaces = new Set<number>();
  #lastSent = -1;
  #lastSentBeforeFailure = -1;
  /** Text up to each row of the entry at hand. */
  #texts: readonly (readonly number[])[] = [];
  rows = 0;
  drafted = 0;
  swapIns = 0;

  constructor(options: SimulatedCacheOptions) {
    this.#cache = new SimulatedCache(options);
    this.#verification = new Verification({ draw: ({ sequence, row }) => this.#draw(sequence, row) });
  }

  send(scheduled: ScheduledStep): void {
    stepSchema.parse(scheduled.step);
    this.#queue.push(scheduled);
    this.#lastSent = scheduled.step.step;
  }

  /** Steps under way, oldest first. */
  get steps(): readonly Step[] {
    return this.#queue.map(({ step }) => step);
  }

  /** Computes the oldest step on the stages, and answers it as the tail. Returns false when there is none. */
  answer(driver: SchedulerDriver): boolean {
    const next = this.#queue.shift();
    if (next === undefined) return false;
    const { step } = next;
    for (const operation of step.operations) this.#apply(operation);
    if (!step.entries.some(({ sequence }) => this.#broken.has(sequence))) {
      driver.complete(step.step, this.#compute(next));
      return true;
    }
    if (step.step > this.#lastSentBeforeFailure)
      throw new Error('rows follow where a stage has lost what is before them');
    this.#fail(step, driver);
    return true;
  }

  /**
   * Fails the oldest step on some stage, with all that its operations ask of main memory. Returns false when there is
   * none.
   */
  fail(driver: SchedulerDriver): boolean {
    const next = this.#queue.shift();
    if (next === undefined) return false;
    const { step } = next;
    const lost = new Set<number>();
    for (const operation of step.operations) {
      if (operation.type === 'swap-in' && lost.has(operation.place)) this.#broken.set(operation.sequence, 0);
      else this.#apply(operation);
      if (operation.type === 'swap-out') lost.add(operation.place);
    }
    for (const place of lost) this.#cache.apply({ type: 'swap-discard', place });
    this.#lastSentBeforeFailure = this.#lastSent;
    this.#fail(step, driver);
    return true;
  }

  #fail({ step, entries }: Step, driver: SchedulerDriver): void {
    for (const { sequence, position } of entries) {
      this.#broken.set(sequence, Math.min(position, this.#broken.get(sequence) ?? Infinity));
    }
    driver.fail(step, new SkeinError('engine-failed', 'broken'), { answerIsDue: false });
  }

  #compute({ step, tokens }: ScheduledStep): Sampled['draws'] {
    let row = 0;
    const draws: Sampled['draws'] = [];
    for (const entry of step.entries) {
      const rows = [...tokens.subarray(row, row + entry.count)];
      row += entry.count;
      this.rows += entry.count;
      this.drafted += entry.draft?.length ?? 0;
      const { sequence, position } = entry;
      const before = this.#cache.tokensOf(sequence);
      this.#cache.compute(sequence, position, rows);
      this.#texts = rows.map((_, index) => [...before, ...rows.slice(0, index + 1)]);
      if (!entry.sample) continue;
      const stands = this.#verification.stands(entry);
      draws.push(stands ? this.#verification.draw(entry, 0) : { sequence: entry.sequence, tokens: [] });
    }
    return draws;
  }

  #draw(sequence: number, row: number): { token: number; mu?: number } {
    const text = this.#texts[row];
    const sampler = this.#samplers.get(sequence);
    if (text === undefined || sampler === undefined) throw new Error('something is drawn without row or sampler');
    if (sampler.remembered !== undefined && sampler.remembered.join() !== text.join()) {
      throw new Error(
        `the sampler remembers ${sampler.remembered.length} tokens that are not the ${text.length} there are`,
      );
    }
    const token = nextToken(text, sampler.mu);
    sampler.remembered?.push(token);
    if (sampler.sampling.mirostat === undefined) return { token };
    sampler.mu = nextMu(sampler.mu, token);
    return { token, mu: sampler.mu };
  }

  #apply(operation: CacheOperation): void {
    if (operation.type === 'sample-with') {
      this.#configure(operation);
      return;
    }
    this.#cache.apply(operation);
    if (operation.type === 'swap-discard') this.#brokenPlaces.delete(operation.place);
    else if (operation.type === 'swap-out') {
      if (this.#broken.delete(operation.sequence)) this.#brokenPlaces.add(operation.place);
    } else if (operation.type === 'swap-in') {
      if (this.#brokenPlaces.has(operation.place)) this.#broken.set(operation.sequence, 0);
      this.swapIns += 1;
    } else if (operation.type === 'remove') {
      const { sequence, from } = operation;
      if (from <= (this.#broken.get(sequence) ?? Infinity)) this.#broken.delete(sequence);
    }
  }

  #configure({ sequence, sampling, history, mu }: Extract<CacheOperation, { type: 'sample-with' }>): void {
    this.#samplers.set(sequence, {
      sampling,
      remembered: history === undefined ? undefined : [...history],
      mu: sampling.mirostat === undefined ? 0 : (mu ?? firstMu),
    });
    this.#verification.forget(sequence);
  }
}

/** Returns a source of pseudo-random numbers from 0 to 1. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
