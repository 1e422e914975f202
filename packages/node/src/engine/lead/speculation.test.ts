import { describe, expect, it } from 'vitest';

import type { SchedulerOptions } from './scheduler.ts';
import { SchedulerDriver } from './test-support/scheduler-driver.ts';
import { expectedTokens, seeded, SimulatedRing } from './test-support/simulated-ring.ts';

const greedy = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };

const expected = (prompt: readonly number[], count: number): number[] => expectedTokens(prompt, count, greedy);

const options: SchedulerOptions = {
  stages: 1,
  sequences: 4,
  slots: 8,
  contextTokens: 2000,
  batchTokens: 32,
  chunkTokens: 16,
  draftTokens: 16,
  rewinds: true,
  swapTokens: 0,
  stepCosts: [],
  maxQueued: 64,
};

interface Simulation {
  readonly received: readonly (readonly number[])[];
  /** Cost of each sequence. */
  readonly sequences: readonly {
    readonly cachedTokens: number;
    readonly draftedTokens: number;
    readonly acceptedTokens: number;
  }[];
  readonly ring: SimulatedRing;
}

/** Runs requests to their ends. `random` decides how far the lead gets before the tail answers. */
function simulate(
  overrides: Partial<SchedulerOptions>,
  requests: readonly { prompt: readonly number[]; count: number; speculates: boolean }[],
  random: () => number = () => 0,
): Simulation {
  // A machine on which rows that come along cost a tenth of the first.
  const stepCosts = [1, 16, 32].map((rows) => ({ rows, ms: 10 + rows }));
  const driver = new SchedulerDriver({ ...options, stepCosts, ...overrides });
  const ring = new SimulatedRing({ ...options, ...overrides });
  const watched = requests.map((request) => driver.add({ ...request, sampling: greedy }));
  for (;;) {
    const scheduled = random() < 0.5 ? driver.next() : undefined;
    if (scheduled !== undefined) ring.send(scheduled);
    else if (!ring.answer(driver)) {
      const last = driver.next();
      if (last === undefined) break;
      ring.send(last);
    }
  }
  expect([driver.scheduler.active, driver.scheduler.queued]).toEqual([0, 0]);
  expect(watched.flatMap(({ errors }) => errors)).toEqual([]);
  const sequences = watched.map(({ sequence: { cachedTokens, draftedTokens }, acceptedTokens }) => ({
    cachedTokens,
    draftedTokens,
    acceptedTokens,
  }));
  return { received: watched.map(({ received }) => received), sequences, ring };
}

const prompt = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, index) => (seed * 31 + index * index) % 50);

describe('speculation', () => {
  it.each([1, 2, 3, 5])('changes no token of any sequence, over %i stages and in any order of events', (stages) => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = seeded(seed);
      const requests = Array.from({ length: 1 + Math.floor(random() * 7) }, (_, index) => ({
        prompt: prompt(1 + Math.floor(random() * 40), index % 3),
        count: 1 + Math.floor(random() * 60),
        speculates: random() < 0.8,
      }));
      const { received } = simulate({ stages, swapTokens: seed % 2 === 0 ? 150 : 0 }, requests, random);
      expect(received).toEqual(requests.map(({ prompt: text, count }) => expected(text, count)));
    }
  });

  it('takes fewer steps where texts repeat themselves and rows are cheap', () => {
    const request = { prompt: prompt(10, 1), count: 100, speculates: true };
    const { sequences, ring } = simulate({}, [request]);
    expect(sequences[0]?.acceptedTokens).toBeGreaterThan(50);
    expect(ring.drafted).toBe(sequences[0]?.draftedTokens);
  });

  it('fills the places of a ring that would stay empty', () => {
    const request = { prompt: prompt(10, 1), count: 60, speculates: true };
    const eager = seeded(1);
    const { sequences } = simulate({ stages: 3 }, [request], () => eager() * 0.4);
    expect(sequences[0]?.acceptedTokens).toBeGreaterThan(20);
  });

  it('does not hold up a full ring for draft tokens that pay for one sequence alone', () => {
    const stepCosts = [1, 16].map((rows) => ({ rows, ms: 6 + 4 * rows }));
    const drafting = { prompt: prompt(10, 1), count: 60, speculates: true };
    expect(simulate({ stepCosts }, [drafting]).ring.drafted).toBeGreaterThan(0);
    const others = [2, 3, 4].map((seed) => ({ prompt: prompt(10, seed), count: 100, speculates: false }));
    expect(simulate({ stages: 2, stepCosts }, [drafting, ...others]).ring.drafted).toBe(0);
  });

  it.each([
    ['a request that does without', {}, false],
    ['a model whose memory can not be cut back', { rewinds: false }, true],
  ])('makes no draft token for %s', (_name, overrides, speculates) => {
    const { ring } = simulate({ ...overrides, stages: 2 }, [{ prompt: prompt(10, 1), count: 50, speculates }]);
    expect(ring.drafted).toBe(0);
  });
});

describe.each([
  ['in their cells', 0],
  ['swapped out', 300],
])('prefixes of finished sequences, %s,', (_where, swapTokens) => {
  const ask = (text: readonly number[], count = 3) => ({ prompt: text, count, speculates: true });

  it('are computed once for requests that come together', () => {
    const shared = prompt(150, 1);
    const { sequences, ring } = simulate({ swapTokens }, [
      ask([...shared, 1]),
      ask([...shared, 2]),
      ask([...shared, 3]),
    ]);
    expect(sequences.map(({ cachedTokens }) => cachedTokens > 130)).toEqual([false, true, true]);
    expect(ring.rows).toBeLessThan(200);
  });

  it('are found again when the sequence is over, and again by one that goes on from there', () => {
    const first = prompt(100, 1);
    const answer = expected(first, 3);
    const { sequences, received } = simulate({ sequences: 1, swapTokens }, [
      ask(first),
      ask([...first, 1, 2]),
      ask([...first, ...answer, 4, 5]),
    ]);
    expect(sequences.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 100, 102]);
    expect(received[2]).toEqual(expected([...first, ...answer, 4, 5], 3));
  });

  it('make room for sequences that need it, the one used longest ago first', () => {
    const [a, b, c] = [prompt(80, 1), prompt(80, 2), prompt(80, 5)];
    const { sequences } = simulate({ sequences: 1, contextTokens: 200, swapTokens: Math.min(swapTokens, 200) }, [
      ask(a),
      ask(b),
      ask(a),
      ask(c),
      ask(a),
      ask(b),
    ]);
    expect(sequences.map(({ cachedTokens }) => cachedTokens > 70)).toEqual([false, false, true, false, true, false]);
  });

  it('are not shared where the model can not be cut back', () => {
    const { sequences } = simulate({ rewinds: false, swapTokens }, [ask(prompt(50, 1)), ask(prompt(50, 1))]);
    expect(sequences.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 0]);
  });
});
