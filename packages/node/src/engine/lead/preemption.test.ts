import type { Sampling, Step } from '@skein/protocol';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Scheduler, SchedulerOptions } from './scheduler.ts';
import { SchedulerDriver, type Asked, type Watched } from './test-support/scheduler-driver.ts';
import type { SimulatedCacheOptions } from './test-support/simulated-cache.ts';
import { expectedTokens, seeded, SimulatedRing } from './test-support/simulated-ring.ts';

const greedy: Sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
const samplings = {
  greedy,
  penalized: { ...greedy, penalties: { lastTokens: -1, repeat: 1.1, frequency: 0, presence: 0 } },
  mirostat: { ...greedy, temperature: 1, mirostat: { version: 2, tau: 5, eta: 0.1 } },
} satisfies Record<string, Sampling>;

const defaults: SchedulerOptions = {
  stages: 1,
  sequences: 4,
  slots: 6,
  contextTokens: 100,
  batchTokens: 8,
  chunkTokens: 6,
  draftTokens: 6,
  rewinds: true,
  swapTokens: 100,
  // A machine on which rows that come along cost a tenth of the first.
  stepCosts: [1, 4, 8].map((rows) => ({ rows, ms: 10 + rows })),
  maxQueued: 64,
};

/** Throws when something does not hold that has to. */
function hold(condition: boolean, claim: string): void {
  if (!condition) throw new Error(`this should hold: ${claim}`);
}

/** A scheduler and a ring, which check after each event what has to hold at all times. */
class Service {
  readonly driver: SchedulerDriver;
  readonly ring: SimulatedRing;
  readonly watched: Watched[] = [];
  /** In the order in which they began. */
  readonly begun: Watched[] = [];
  preemptions = 0;
  readonly #away = new Set<Watched>();

  constructor(overrides: Partial<SchedulerOptions>, ring: Partial<SimulatedCacheOptions> = {}) {
    const options = { ...defaults, ...overrides };
    this.driver = new SchedulerDriver(options);
    this.ring = new SimulatedRing({ ...options, ...ring });
  }

  get scheduler(): Scheduler {
    return this.driver.scheduler;
  }

  ask(request: Asked): Watched {
    const watched = this.driver.add(request);
    this.watched.push(watched);
    this.check();
    return watched;
  }

  cancel(watched: Watched): void {
    this.driver.cancel(watched);
    this.check();
  }

  send(): boolean {
    const scheduled = this.driver.next();
    if (scheduled !== undefined) this.ring.send(scheduled);
    this.check();
    return scheduled !== undefined;
  }

  answer(): boolean {
    const isAnswered = this.ring.answer(this.driver);
    this.check();
    return isAnswered;
  }

  fail(): void {
    this.ring.fail(this.driver);
    this.check();
  }

  /** Sends and answers until something holds. */
  until(condition: () => boolean): void {
    while (!condition()) if (!this.send() && !this.answer()) throw new Error('everything has come to its end before');
  }

  finish(): void {
    while (this.send() || this.answer());
    hold(this.scheduler.isIdle, 'all come to their ends');
  }

  check(): void {
    for (const watched of this.watched) {
      if (watched.sequence.slot === undefined || this.begun.includes(watched)) continue;
      hold(
        ![...this.#away].some(({ sequence }) => sequence.isAway),
        'nobody begins while another one waits to come back',
      );
      this.begun.push(watched);
    }
    for (const watched of this.begun) {
      const { isAway } = watched.sequence;
      if (isAway && !this.#away.has(watched)) this.preemptions += 1;
      hold(!isAway || watched.sequence.stepsInFlight === 0, 'nobody goes while rows of it are under way');
      if (isAway) this.#away.add(watched);
      else this.#away.delete(watched);
    }
    const oldest = this.begun.find(({ sequence }) => !sequence.isFinished);
    hold(oldest?.sequence.isAway !== true, 'the oldest is never preempted');
  }
}

/** Differs from all others in its first token, so that nothing is shared. */
const prompt = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, index) => (index === 0 ? 1000 + seed : (seed * 31 + index * index) % 50));

function ask(length: number, count: number, seed: number, rest: Partial<Asked> = {}): Asked {
  return { prompt: prompt(length, seed), count, sampling: greedy, speculates: false, ...rest };
}

function assertRight({ request, received }: Watched): void {
  expect(received).toEqual(expectedTokens(request.prompt, request.count, request.sampling));
}

describe('room in the KV cache', () => {
  it('is taken as it is needed: a large limit lets others begin', () => {
    const service = new Service({});
    for (const seed of [1, 2, 3]) service.ask(ask(8, 90, seed));
    expect([service.scheduler.active, service.scheduler.queued]).toEqual([2, 1]);
    const [first] = service.watched;
    service.until(() => service.watched[1]?.received.length === 1);
    expect(first?.sequence.isFinished).toBe(false);
  });

  it('is left for the first tokens of each, so that none is preempted as soon as it begins', () => {
    const service = new Service({ contextTokens: 70 });
    service.ask(ask(10, 60, 1));
    service.ask(ask(10, 60, 2));
    expect([service.scheduler.active, service.scheduler.queued]).toEqual([1, 1]);
  });

  it("is nobody else's: a sequence that finds no free slot waits, and reads its own text alone", () => {
    const service = new Service({ sequences: 5, slots: 2, contextTokens: 1000, swapTokens: 0 });
    for (const seed of [1, 2, 3, 4, 5]) service.ask(ask(10, 20, seed));
    expect([service.scheduler.active, service.scheduler.queued]).toEqual([2, 3]);
    service.finish();
    service.watched.forEach(assertRight);
  });

  it('is made by the youngest, which comes back and says what it would have said', () => {
    const service = new Service({});
    for (const seed of [1, 2]) service.ask(ask(8, 80, seed));
    service.finish();
    expect(service.preemptions).toBeGreaterThan(0);
    expect(service.ring.swapIns).toBeGreaterThan(0);
    service.watched.forEach(assertRight);
  });

  it('is waited for in the order of age, and newer requests wait behind', () => {
    const service = new Service({ sequences: 3, contextTokens: 110 });
    const [first, second, third] = [1, 2, 3].map((seed) => service.ask(ask(2, 60, seed)));
    service.until(() => service.preemptions > 0);
    expect([first, second, third].map((watched) => watched?.sequence.slot !== undefined)).toEqual([true, true, false]);
    const small = service.ask(ask(1, 1, 4));
    expect(small.sequence.slot).toBeUndefined();
    service.finish();
    expect(service.begun.map(({ sequence }) => service.watched.findIndex((one) => one.sequence === sequence))).toEqual([
      0, 1, 2, 3,
    ]);
    service.watched.forEach(assertRight);
  });

  it.each([
    ['a model whose memory can not be cut back', { rewinds: false, swapTokens: 0 }],
    ['a model that can not leave its cells', { swapTokens: 0 }],
    ['a swap space that is too small', { swapTokens: 20 }],
  ])('is computed anew by the youngest with %s', (_name, overrides) => {
    const service = new Service(overrides);
    for (const seed of [1, 2, 3]) service.ask(ask(8, 60, seed));
    const alone = 3 * 68;
    service.finish();
    expect(service.preemptions).toBeGreaterThan(0);
    expect(service.ring.rows).toBeGreaterThan(alone);
    service.watched.forEach(assertRight);
  });

  it('goes to finished sequences last: they are let go before any is preempted', () => {
    const service = new Service({ swapTokens: 0 });
    service.ask(ask(40, 2, 1));
    service.finish();
    service.ask(ask(10, 20, 2));
    service.ask(ask(10, 20, 3));
    service.finish();
    expect(service.preemptions).toBe(0);
  });

  it('never goes to draft tokens while a known token needs it', () => {
    const service = new Service({ stages: 3 });
    for (const seed of [1, 2, 3]) service.ask(ask(8, 80, seed, { speculates: true }));
    service.finish();
    service.watched.forEach(assertRight);
  });

  it('is given back by a sequence that is cancelled while it waits to come back', () => {
    const service = new Service({ swapTokens: 60 });
    const asked = [1, 2, 3].map((seed) => service.ask(ask(8, 80, seed)));
    service.until(() => service.preemptions > 0);
    for (const watched of asked) if (watched.sequence.slot === undefined) service.cancel(watched);
    service.finish();
    const others = asked.filter(({ isCancelled }) => !isCancelled);
    expect(others).toHaveLength(1);
    others.forEach(assertRight);
  });

  it('is computed anew by one that comes back when the step that swapped it out has failed', () => {
    const service = new Service({});
    const asked = [1, 2, 3].map((seed) => service.ask(ask(2, 90, seed)));
    service.until(() => service.preemptions > 0);
    service.fail();
    service.finish();
    expect(asked.map(({ errors }) => errors.length)).toEqual([1, 0, 0]);
    expect(service.ring.swapIns).toBe(0);
    for (const watched of asked.slice(1)) assertRight(watched);
  });

  it('is lost with a failed step by all whose cells it was to move', () => {
    const service = new Service({ stages: 2, contextTokens: 110 });
    const asked = [1, 2, 3].map((seed) => service.ask(ask(2, 90, seed)));
    const movesCells = (step: Step | undefined) => step?.operations.some(({ type }) => type === 'swap-in') === true;
    service.until(() => movesCells(service.ring.steps.at(-1)));
    while (!movesCells(service.ring.steps[0])) service.answer();
    expect(service.ring.steps[0]?.entries).toHaveLength(1);
    service.fail();
    service.finish();
    expect(asked.map(({ errors }) => errors.length)).toEqual([1, 1, 0]);
    asked.slice(2).forEach(assertRight);
  });

  it('is found in order of position by all, however often some are preempted', () => {
    const service = new Service({ contextTokens: 120, swapTokens: 120 }, { checksOrder: 'own' });
    for (let seed = 1; seed <= 12; seed += 1) service.ask(ask(3 + seed, 30 + 5 * seed, seed));
    service.finish();
    expect(service.preemptions).toBeGreaterThan(2);
    service.watched.forEach(assertRight);
  });

  it('costs nothing where it is plenty: no operation beyond those that begin and end', () => {
    const service = new Service({ contextTokens: 1000, swapTokens: 1000 });
    for (const seed of [1, 2, 3, 4]) service.ask(ask(20, 100, seed));
    const types: string[] = [];
    for (;;) {
      const scheduled = service.scheduler.next();
      if (scheduled === undefined) {
        if (!service.answer()) break;
        continue;
      }
      types.push(...scheduled.step.operations.map(({ type }) => type));
      service.ring.send(scheduled);
    }
    expect(types.filter((type) => type !== 'remove')).toEqual(Array.from({ length: 4 }, () => 'sample-with'));
  });

  const situation = fc.record({
    stages: fc.integer({ min: 1, max: 4 }),
    sequences: fc.integer({ min: 1, max: 5 }),
    keptSlots: fc.integer({ min: 0, max: 4 }),
    contextTokens: fc.integer({ min: 40, max: 160 }),
    swapShare: fc.constantFrom(0, 0.3, 1),
    rewinds: fc.boolean(),
    hasTiles: fc.boolean(),
    speculates: fc.boolean(),
    requests: fc.array(
      fc.record({
        length: fc.integer({ min: 1, max: 60 }),
        count: fc.integer({ min: 1, max: 150 }),
        sampling: fc.constantFrom(...Object.values(samplings)),
        fate: fc.constantFrom('ends', 'ends', 'ends', 'cancelled'),
        /** Of those that are there, how many events it comes after. */
        after: fc.integer({ min: 0, max: 40 }),
        /** Requests with one theme begin alike. */
        theme: fc.option(fc.integer({ min: 0, max: 1 }), { nil: undefined }),
        /** Whether the text of an earlier one, as far as it has come, is read along after it. */
        isRead: fc.boolean(),
      }),
      { minLength: 1, maxLength: 10 },
    ),
    failures: fc.constantFrom(0, 0, 0.01, 0.1),
    schedule: fc.integer({ min: 1, max: 2 ** 31 }),
  });

  const plain = { sampling: greedy, fate: 'ends', theme: undefined, isRead: false };
  /** Cells are shared in the very step that moves them, which then fails. */
  const sharedAndLost = {
    stages: 2,
    sequences: 2,
    keptSlots: 0,
    contextTokens: 59,
    swapShare: 1,
    rewinds: true,
    hasTiles: false,
    speculates: true,
    requests: [
      { ...plain, length: 26, count: 1, after: 5 },
      { ...plain, length: 16, count: 16, after: 33, fate: 'cancelled', theme: 0 },
      { ...plain, length: 17, count: 1, after: 4, theme: 0, isRead: true },
      { ...plain, length: 1, count: 1, after: 0 },
    ],
    failures: 0.01,
    schedule: 1_728_744_507,
  };

  it('never changes a text, loses a sequence, or preempts the oldest, in any order of events', () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { contextTokens, rewinds, hasTiles } = given;
        const swapTokens = rewinds ? Math.floor(given.swapShare * contextTokens) : 0;
        const service = new Service({
          ...given,
          slots: given.sequences + given.keptSlots,
          swapTokens,
          ...(hasTiles ? { tiles: { rows: 10, from: 20 } } : {}),
        });
        const random = seeded(given.schedule);
        let reads = 0;
        for (const [index, { length, count, sampling, fate, after, theme, isRead }] of given.requests.entries()) {
          const text = prompt(Math.min(length, contextTokens - 1), theme ?? index + 10);
          const most = Math.min(count, contextTokens - text.length);
          const watched = service.ask({ prompt: text, count: most, sampling, speculates: given.speculates });
          const along = service.watched[Math.floor(random() * service.watched.length)];
          if (isRead && along !== undefined) {
            service.driver.read(along.request.prompt, { tokens: along.received, moves: index % 2 === 0 });
            reads += 1;
          }
          for (let event = 0; event < after; event += 1) {
            if (random() < given.failures) service.fail();
            else if (random() < 0.5) service.send();
            else service.answer();
          }
          if (fate === 'cancelled') service.cancel(watched);
        }
        service.finish();
        const left = service.watched.filter(({ isCancelled }) => !isCancelled);
        const lost = left.filter(({ errors }) => errors.length > 0);
        hold(lost.length === 0 || given.failures > 0, 'only a step that fails loses a sequence');
        left.filter(({ errors }) => errors.length === 0).forEach(assertRight);
        expect(lost.every(({ errors }) => errors.length === 1)).toBe(true);
        expect(service.driver.endedReads()).toHaveLength(reads);
      }),
      { numRuns: 400, examples: [[sharedAndLost]] },
    );
  });

  it('is found in order of position where nothing is shared, though drafts fall, in any order of events', () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { contextTokens } = given;
        const swapTokens = 2 * contextTokens;
        const slots = given.sequences + given.keptSlots;
        const service = new Service({ ...given, rewinds: true, slots, swapTokens }, { checksOrder: 'own' });
        const random = seeded(given.schedule);
        for (const [index, { length, count, sampling, fate, after }] of given.requests.entries()) {
          const text = prompt(Math.min(length, contextTokens - 1), index);
          const most = Math.min(count, contextTokens - text.length);
          const watched = service.ask({ prompt: text, count: most, sampling, speculates: given.speculates });
          for (let event = 0; event < after; event += 1) if (random() < 0.5 || !service.answer()) service.send();
          if (fate === 'cancelled') service.cancel(watched);
        }
        service.finish();
        service.watched.filter(({ isCancelled }) => !isCancelled).forEach(assertRight);
      }),
      { numRuns: 200 },
    );
  });

  it('is found in order of position where there is room, though much is shared, cancelled and drafted in vain, in any order of events', () => {
    fc.assert(
      fc.property(situation, (given) => {
        const contextTokens = 20 * given.contextTokens;
        const slots = given.sequences + given.keptSlots;
        const options = { ...given, contextTokens, rewinds: true, slots, swapTokens: contextTokens };
        const service = new Service(options, { checksOrder: 'all' });
        const random = seeded(given.schedule);
        for (const { length, count, sampling, fate, after, theme } of given.requests) {
          const watched = service.ask({
            prompt: prompt(length, theme ?? 0),
            count,
            sampling,
            speculates: given.speculates,
          });
          for (let event = 0; event < after; event += 1) if (random() < 0.5 || !service.answer()) service.send();
          if (fate === 'cancelled') service.cancel(watched);
        }
        service.finish();
        service.watched.filter(({ isCancelled }) => !isCancelled).forEach(assertRight);
      }),
      { numRuns: 200 },
    );
  });
});
