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

interface Broken {
  /** Position from which on the content is unknown. */
  readonly from: number;
  /** The last step that was sent before the scheduler heard of it: no later one may have rows behind that position. */
  readonly lastSent: number;
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
  /** Slots whose content is unknown after a failed step, until that is removed. */
  readonly #broken = new Map<number, Broken>();
  /** Places to which such a slot was swapped out. */
  readonly #brokenPlaces = new Map<number, Broken>();
  #lastSent = -1;
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
    const broken = step.entries.flatMap(({ sequence }) => this.#broken.get(sequence) ?? []);
    if (broken.some(({ lastSent }) => step.step > lastSent)) {
      throw new Error('rows follow where a stage has lost what is before them');
    }
    if (broken.length > 0) this.#fail(step, driver);
    else driver.complete(step.step, this.#compute(next));
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
    for (const operation of step.operations) {
      this.#apply(operation);
      if (operation.type !== 'swap-out') continue;
      const { place, from = 0 } = operation;
      this.#cache.lose(place);
      const before = this.#brokenPlaces.get(place)?.from ?? Infinity;
      this.#brokenPlaces.set(place, { from: Math.min(from, before), lastSent: this.#lastSent });
    }
    this.#fail(step, driver);
    return true;
  }

  #fail({ step, entries }: Step, driver: SchedulerDriver): void {
    for (const { sequence, position } of entries) this.#break(sequence, position);
    driver.fail(step, new SkeinError('engine-failed', 'broken'), { answerIsDue: false });
  }

  #break(sequence: number, position: number): void {
    const { from, lastSent } = this.#broken.get(sequence) ?? { from: Infinity, lastSent: this.#lastSent };
    this.#broken.set(sequence, { from: Math.min(position, from), lastSent });
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
      const broken = this.#broken.get(operation.sequence);
      if (broken !== undefined) this.#brokenPlaces.set(operation.place, broken);
      this.#broken.delete(operation.sequence);
    } else if (operation.type === 'swap-in') {
      const broken = this.#brokenPlaces.get(operation.place);
      if (broken === undefined) this.swapIns += 1;
      else this.#broken.set(operation.sequence, broken);
    } else if (operation.type === 'copy') {
      const broken = this.#broken.get(operation.sequence);
      if (broken !== undefined && broken.from < operation.before) this.#broken.set(operation.to, broken);
    } else if (operation.type === 'remove') {
      const { sequence, from } = operation;
      if (from <= (this.#broken.get(sequence)?.from ?? Infinity)) this.#broken.delete(sequence);
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
