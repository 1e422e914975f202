import { SkeinError, stepSchema, type CacheOperation, type Sampled, type Sampling, type Step } from '@skein/protocol';

import { Verification } from '../../stage/verification.ts';
import type { ScheduledStep } from '../scheduler.ts';
import type { SchedulerDriver } from './scheduler-driver.ts';

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

export interface SimulatedRingOptions {
  /** Cells of the cache. */
  readonly contextTokens: number;
  /** Tokens that the swap space holds. */
  readonly swapTokens: number;
  /**
   * Sequences for which to throw when they get a cell before those that they have, since attention would add up otherwise
   * then: those that share no cells, or all. Default: none.
   */
  readonly checksOrder?: 'own' | 'all';
}

interface Cell {
  readonly number: number;
  readonly token: number;
}

interface Swapped {
  readonly from: number;
  readonly tokens: readonly number[];
  /** Cells behind a part that is swapped out. */
  readonly rest: readonly Cell[];
}

interface SamplerState {
  readonly sampling: Sampling;
  /** Tokens that it was told or has drawn, where it looks back at them. */
  readonly remembered: number[] | undefined;
  mu: number;
}

/**
 * A ring without arithmetic: caches as lists of cells, alike on every stage and numbered as llama.cpp does, and a tail
 * that continues the content of its cache. It throws where a real one would have been wrong: a hole, a cell taken
 * twice, too many cells, a full swap space, a sampler that forgot.
 */
export class SimulatedRing {
  readonly #options: SimulatedRingOptions;
  readonly #swapped = new Map<number, Swapped>();
  readonly #slots = new Map<number, Cell[]>();
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

  constructor(options: SimulatedRingOptions) {
    this.#options = options;
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
    for (const place of lost) this.#swapped.delete(place);
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
      const before = this.#tokensOf(entry.sequence);
      if (before.length !== entry.position) throw new Error(`rows at ${entry.position} of ${before.length} cells`);
      for (const token of rows) this.#take(entry.sequence, token);
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
    if (operation.type === 'swap-discard') {
      this.#swapped.delete(operation.place);
      this.#brokenPlaces.delete(operation.place);
      return;
    }
    const { sequence } = operation;
    const cells = this.#slots.get(sequence) ?? [];
    switch (operation.type) {
      case 'swap-out':
        if (this.#swapped.has(operation.place)) throw new Error('a place of the swap space is taken twice');
        this.#swapOut(operation);
        break;
      case 'swap-in': {
        const swapped = this.#swapped.get(operation.place);
        if (swapped === undefined) throw new Error('what is brought back is not there');
        if (cells.length !== swapped.from) throw new Error('a sequence is brought back where something is already');
        for (const token of swapped.tokens) this.#take(sequence, token);
        this.#slots.get(sequence)?.splice(operation.before);
        this.#slots.set(sequence, [...(this.#slots.get(sequence) ?? []), ...swapped.rest]);
        if (this.#brokenPlaces.has(operation.place)) this.#broken.set(sequence, 0);
        this.swapIns += 1;
        break;
      }
      case 'remove':
        this.#slots.set(sequence, cells.slice(0, operation.from));
        if (operation.from <= (this.#broken.get(sequence) ?? Infinity)) this.#broken.delete(sequence);
        break;
      case 'copy':
        if (cells.length < operation.before) throw new Error('cells are shared that are not there');
        if (this.#tokensOf(operation.to).length > 0) throw new Error('a slot is shared into that is not empty');
        this.#slots.set(operation.to, cells.slice(0, operation.before));
        break;
      case 'sample-with': {
        const { sampling, history, mu } = operation;
        const remembered = history === undefined ? undefined : [...history];
        this.#samplers.set(sequence, {
          sampling,
          remembered,
          mu: sampling.mirostat === undefined ? 0 : (mu ?? firstMu),
        });
        this.#verification.forget(sequence);
      }
    }
  }

  #swapOut({ sequence, place, from = 0, before = Infinity }: Extract<CacheOperation, { type: 'swap-out' }>): void {
    const cells = this.#slots.get(sequence) ?? [];
    const tokens = this.#tokensOf(sequence).slice(from, before);
    this.#swapped.set(place, { from, tokens, rest: cells.slice(before) });
    if ([...this.#swapped.values()].flatMap((swapped) => swapped.tokens).length > this.#options.swapTokens) {
      throw new Error('the swap space is too full');
    }
    this.#slots.set(sequence, cells.slice(0, from));
    if (this.#broken.delete(sequence)) this.#brokenPlaces.add(place);
  }

  /** Gives a sequence the lowest cell that is free. */
  #take(sequence: number, token: number): void {
    const held = [...this.#slots.values(), ...[...this.#swapped.values()].map(({ rest }) => rest)];
    const used = new Set(held.flatMap((cells) => cells.map(({ number }) => number)));
    let number = 0;
    while (used.has(number)) number += 1;
    if (number >= this.#options.contextTokens) throw new Error('there are not enough cells');
    const cells = this.#slots.get(sequence) ?? [];
    const isOutOfOrder = number < (cells.at(-1)?.number ?? 0);
    const { checksOrder } = this.#options;
    if (isOutOfOrder && (checksOrder === 'all' || (checksOrder === 'own' && !this.#isShared(cells)))) {
      throw new Error(`cell ${number} comes before one of the same sequence`);
    }
    this.#slots.set(sequence, [...cells, { number, token }]);
  }

  #isShared(cells: readonly Cell[]): boolean {
    return cells.some((cell) => [...this.#slots.values()].filter((held) => held.includes(cell)).length > 1);
  }

  #tokensOf(sequence: number): number[] {
    return (this.#slots.get(sequence) ?? []).map(({ token }) => token);
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
