import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { PrefixCache, type SlotOperation } from './prefix-cache.ts';
import { Slots } from './slots.ts';

const internal = expect.objectContaining({ code: 'internal' });

describe('the slots of a KV cache', () => {
  it('are handed out once each, and none when all are used', () => {
    const subject = new Slots(3);
    expect(new Set([subject.take(), subject.take(), subject.take()])).toEqual(new Set([0, 1, 2]));
    expect(subject.free).toBe(0);
    expect(() => subject.take()).toThrow(internal);
  });

  it('are handed out again after they were given up', () => {
    const subject = new Slots(1);
    const slot = subject.take();
    subject.giveUp(slot);
    expect(subject.take()).toBe(slot);
  });

  it('are handed out to nobody else while they are kept', () => {
    const subject = new Slots(1);
    const slot = subject.take();
    subject.keep(slot);
    expect(() => subject.take()).toThrow(internal);
    subject.takeOver(slot);
    expect(() => subject.takeOver(slot)).toThrow(internal);
  });

  it.each<[name: string, misuse: (subject: Slots, slot: number) => void]>([
    ['given up twice', (subject, slot) => [0, 1].forEach(() => subject.giveUp(slot))],
    ['kept twice', (subject, slot) => [0, 1].forEach(() => subject.keep(slot))],
    ['kept after it was given up', (subject, slot) => [subject.giveUp(slot), subject.keep(slot)]],
    ['taken over while a sequence runs there', (subject, slot) => subject.takeOver(slot)],
  ])('notice one that is %s', (_name, misuse) => {
    const subject = new Slots(2);
    const slot = subject.take();
    expect(() => misuse(subject, slot)).toThrow(internal);
  });
});

/** Throws when something does not hold that has to. */
function hold(condition: boolean, claim: string): void {
  if (!condition) throw new Error(`this should hold: ${claim}`);
}

interface Running {
  readonly slot: number;
  readonly tokens: readonly number[];
}

/** A cache, and stages that have in each slot and in main memory what its operations say. */
class CachedSequences {
  readonly #cache: PrefixCache;
  readonly #slots = new Map<number, readonly number[]>();
  readonly #places = new Map<number, readonly number[]>();
  readonly #running: Running[] = [];

  constructor(cache: PrefixCache) {
    this.#cache = cache;
  }

  get running(): number {
    return this.#running.length;
  }

  /** Lets a sequence begin and send all its rows. False when there is no room. */
  begin(tokens: readonly number[]): boolean {
    const running = this.#running.map((one) => ({ ...one, confirmed: one.tokens.length }));
    const placement = this.#cache.place(tokens, { spare: 0, running });
    if (placement === undefined) return false;
    const { slot, cachedTokens, operations } = placement;
    hold(!running.some((one) => one.slot === slot), 'nobody gets a slot in which a sequence runs');
    this.#applyAll(operations);
    const found = this.#of(slot);
    hold(found.length === cachedTokens, 'a sequence finds as many tokens as it was told of');
    hold(
      found.every((token, index) => token === tokens[index]),
      'a sequence finds no tokens but its own',
    );
    this.#applyAll(this.#cache.makeRoom(tokens.length - cachedTokens));
    this.#cache.grow(slot, tokens.length);
    this.#slots.set(slot, tokens);
    this.#running.push({ slot, tokens });
    this.#checkRunning();
    return true;
  }

  end(which: number, fate: 'is kept' | 'goes' | 'is preempted'): void {
    const [sequence] = this.#running.splice(which, 1);
    if (sequence === undefined) return;
    const { slot, tokens } = sequence;
    const { operations } =
      fate === 'is preempted'
        ? this.#cache.preempt(slot)
        : { operations: this.#cache.release(slot, tokens, fate === 'is kept' ? tokens.length : 0) };
    this.#applyAll(operations);
    this.#checkRunning();
  }

  #checkRunning(): void {
    for (const { slot, tokens } of this.#running) {
      hold(this.#of(slot).join() === tokens.join(), 'those that run keep what is theirs, whatever happens to others');
    }
  }

  #of(slot: number): readonly number[] {
    return this.#slots.get(slot) ?? [];
  }

  #applyAll(operations: readonly SlotOperation[]): void {
    for (const operation of operations) this.#apply(operation);
  }

  #apply(operation: SlotOperation): void {
    switch (operation.type) {
      case 'remove':
        this.#slots.set(operation.sequence, this.#of(operation.sequence).slice(0, operation.from));
        break;
      case 'copy':
        this.#slots.set(operation.to, [
          ...this.#of(operation.to),
          ...this.#of(operation.sequence).slice(0, operation.before),
        ]);
        break;
      case 'swap-out':
        this.#places.set(operation.place, this.#of(operation.sequence));
        this.#slots.set(operation.sequence, []);
        break;
      case 'swap-in': {
        const swapped = this.#places.get(operation.place)?.slice(0, operation.before) ?? [];
        this.#slots.set(operation.sequence, [...this.#of(operation.sequence), ...swapped]);
        break;
      }
      case 'swap-discard':
        this.#places.delete(operation.place);
    }
  }
}

/** Texts of one theme begin alike. */
function text({ theme, own, length }: { theme: number; own: number; length: number }): number[] {
  return Array.from({ length }, (_, index) => 1000 * theme + (index < 20 ? 0 : 100 * own) + index);
}

describe('a sequence in a KV cache with few slots', () => {
  const event = fc.oneof(
    fc.record({ theme: fc.nat(2), own: fc.nat(9), length: fc.integer({ min: 17, max: 40 }) }),
    fc.record({ which: fc.nat(4), fate: fc.constantFrom('is kept', 'goes', 'is preempted') }),
  );
  const situation = fc.record({
    slots: fc.integer({ min: 1, max: 4 }),
    swapTokens: fc.constantFrom(0, 60),
    keeps: fc.boolean(),
    events: fc.array(event, { maxLength: 60 }),
  });

  it("has a slot to itself, in which it finds its own tokens and nobody else's", () => {
    let withoutSlot = 0;
    fc.assert(
      fc.property(situation, ({ events, ...options }) => {
        const subject = new CachedSequences(new PrefixCache({ ...options, cells: 100 }));
        for (const given of events) {
          if ('fate' in given) subject.end(given.which, given.fate);
          else if (!subject.begin(text(given)) && subject.running === options.slots) withoutSlot += 1;
        }
      }),
      { numRuns: 300 },
    );
    expect(withoutSlot).toBeGreaterThan(0);
  });
});
