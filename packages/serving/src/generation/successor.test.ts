import { beforeEach, describe, expect, it } from 'vitest';

import { ReadingTurns } from '../routing/reading-turns.ts';
import type { Attempt } from '../routing/replicas.ts';
import { ReadingAlong, type ReadingOptions } from './reading-along.ts';
import { Successor } from './successor.ts';

const attempt: Attempt = {
  deployment: 'deployment-2',
  lead: 'bob',
  observe: () => undefined,
  readingTurn: async () => await turns.take(attempt),
  [Symbol.dispose]: () => undefined,
};
const minuteMs = 60_000;
let turns: ReadingTurns;
let nowMs: number;
let told: ReadingOptions | undefined;
let end: PromiseWithResolvers<void>;

beforeEach(() => {
  [turns, nowMs, told, end] = [new ReadingTurns(), 0, undefined, Promise.withResolvers()];
});

const settled = async (): Promise<void> => await new Promise(setImmediate);

/** Makes the successor of a long answer. */
async function successor(taken: Promise<Attempt>): Promise<Successor> {
  const now = (): number => nowMs;
  const read = async (options: ReadingOptions): Promise<void> => {
    told = options;
    await end.promise;
  };
  const transcript = { promptTokens: 30_000, tokens: 100 };
  const made = new Successor(taken, { now, readAt: (route) => new ReadingAlong({ route, transcript, now, read }) });
  await settled();
  return made;
}

describe('the replica to which an answer moves', () => {
  it('is given the time that it needs, as long as it reads on', async () => {
    using subject = await successor(Promise.resolve(attempt));
    for (let minute = 0; minute < 9; minute += 1) {
      nowMs += minuteMs;
      told?.onProgress();
      expect(subject.isReady()).toBe(false);
    }
    end.resolve();
    await settled();
    expect(subject.isReady()).toBe(true);
  });

  it('is taken as it is when it has read nothing for a minute', async () => {
    using subject = await successor(Promise.resolve(attempt));
    nowMs += minuteMs;
    expect(subject.isReady()).toBe(false);
    nowMs += 1;
    expect(subject.isReady()).toBe(true);
  });

  it.each([
    ['moves there', (other: Successor) => void other.take()],
    ['is given up', (other: Successor) => other[Symbol.dispose]()],
  ])('reads one answer after the other, each once the one before %s', async (_, leave) => {
    using first = await successor(Promise.resolve(attempt));
    const firstTold = told;
    using second = await successor(Promise.resolve(attempt));
    const third = await successor(Promise.resolve(attempt));
    third[Symbol.dispose]();
    using last = await successor(Promise.resolve(attempt));
    nowMs += 9 * minuteMs;
    expect([told === firstTold, second.isReady(), last.isReady()]).toEqual([true, false, false]);
    leave(first);
    await settled();
    expect(told).not.toBe(firstTold);
    const secondTold = told;
    second[Symbol.dispose]();
    await settled();
    expect(told).not.toBe(secondTold);
  });

  it('is waited for where there is none', async () => {
    using subject = await successor(Promise.reject(new Error('nobody is there')));
    nowMs += 9 * minuteMs;
    expect(subject.isReady()).toBe(false);
  });
});
