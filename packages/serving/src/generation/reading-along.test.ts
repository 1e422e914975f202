import { SkeinError } from '@skein/protocol';
import { beforeEach, describe, expect, it } from 'vitest';

import { ReadingAlong, type ReadingOptions } from './reading-along.ts';

const transcript = { promptTokens: 0, tokens: 0 };
let nowMs: number;
let reads: PromiseWithResolvers<void>[];
let told: ReadingOptions;
let reading: ReadingAlong;

beforeEach(() => {
  Object.assign(transcript, { promptTokens: 40, tokens: 0 });
  [nowMs, reads] = [0, []];
  reading = new ReadingAlong({
    route: { deployment: 'deployment-1', lead: 'ada' },
    transcript,
    read: async (options) => {
      told = options;
      const read = Promise.withResolvers<void>();
      reads.push(read);
      await read.promise;
    },
    now: () => nowMs,
  });
});

/** Lets so much time pass, and ends the reading under way. */
async function end(afterMs: number, error?: SkeinError): Promise<void> {
  nowMs += afterMs;
  if (error === undefined) reads.at(-1)?.resolve();
  else reads.at(-1)?.reject(error);
  await new Promise(setImmediate);
}

describe('reading along', () => {
  it('begins when what is unread would take a while, by the speed that was measured', async () => {
    transcript.tokens = 23;
    expect(reading.isDue).toBe(false);
    transcript.tokens = 24;
    expect([reading.unread, reading.isDue]).toEqual([64, true]);
    reading.readOn();
    expect(reading.isDue).toBe(false);
    await end(5);
    expect(reading.unread).toBe(0);
    transcript.tokens += 64;
    expect(reading.isDue).toBe(true);
    reading.readOn();
    await end(64 * 10);
    transcript.tokens += 29;
    expect(reading.isDue).toBe(false);
    transcript.tokens += 1;
    expect(reading.isDue).toBe(true);
  });

  it('reads once at a time, and has caught up when little is unread', async () => {
    transcript.tokens = 100;
    reading.readOn();
    reading.readOn();
    expect([reads.length, reading.hasCaughtUp]).toEqual([1, false]);
    transcript.tokens = 130;
    await end(100);
    expect([reading.unread, reading.hasCaughtUp]).toEqual([30, false]);
    reading.readOn();
    transcript.tokens = 138;
    await end(30);
    expect([reading.unread, reading.hasCaughtUp]).toEqual([8, true]);
  });

  it('has caught up where the answer grows as fast as it is read', async () => {
    reading.readOn();
    transcript.tokens = 30;
    await end(30);
    reading.readOn();
    transcript.tokens = 60;
    await end(600);
    expect([reading.unread, reading.hasCaughtUp]).toEqual([30, true]);
  });

  it('has caught up when the rest is read in a moment, by the speed that was measured from its beginning', async () => {
    transcript.promptTokens = 1000;
    reading.readOn();
    nowMs += 5000;
    told.onBegin(0);
    transcript.tokens = 251;
    await end(1000);
    expect([reading.unread, reading.hasCaughtUp]).toEqual([251, false]);
    reading.readOn();
    told.onBegin(1000);
    transcript.tokens = 501;
    await end(251);
    expect([reading.unread, reading.hasCaughtUp]).toEqual([250, true]);
  });

  it('has not caught up where as much came while it waited for others, and has where that comes again', async () => {
    transcript.promptTokens = 100;
    for (const [tokens, hasCaughtUp] of [
      [400, false],
      [800, false],
      [1200, true],
    ] as const) {
      reading.readOn();
      transcript.tokens = tokens;
      told.onBegin(tokens - 300);
      await end(4000);
      expect([reading.unread, reading.hasCaughtUp]).toEqual([400, hasCaughtUp]);
    }
  });

  it('tells when it last went on: when it began, read on, or came to an end', async () => {
    const times: number[] = [reading.progressAtMs];
    const note = (): void => void times.push(reading.progressAtMs);
    reading.readOn();
    nowMs = 10;
    note();
    told.onBegin(0);
    note();
    nowMs = 20;
    told.onProgress();
    note();
    await end(10);
    note();
    reading.readOn();
    await end(10, new SkeinError('overloaded', 'no room'));
    note();
    expect(times).toEqual([0, 0, 10, 20, 30, 30]);
  });

  it('leaves a replica alone for a while that has no room, or was silent for long', async () => {
    transcript.tokens = 100;
    for (const [pauseMs, code] of [
      [250, 'overloaded'],
      [500, 'deadline-exceeded'],
    ] as const) {
      reading.readOn();
      await end(0, new SkeinError(code, 'not now'));
      nowMs += pauseMs - 1;
      reading.readOn();
      expect([reading.isDue, reading.isOver, reading.hasCaughtUp]).toEqual([false, false, false]);
      nowMs += 1;
      expect(reading.isDue).toBe(true);
    }
    expect(reads).toHaveLength(2);
  });

  it('is over when it fails otherwise', async () => {
    transcript.tokens = 100;
    reading.readOn();
    await end(0, new SkeinError('peer-lost', 'gone'));
    nowMs += 10_000;
    reading.readOn();
    expect([reads.length, reading.isDue, reading.isOver]).toEqual([1, false, true]);
  });
});
