import { expect, test } from 'vitest';

import { LoadMeter } from './load-meter.ts';

const counts = { active: 0, queued: 0, waitingTokens: 0, ended: 0 };

test('reports the load when it changes, and tokens that are read only at every 1/8 or so', () => {
  const meter = new LoadMeter(0);
  expect(meter.update(counts, 0)).toBeUndefined();
  const reports = Array.from({ length: 1001 }, (_, index) =>
    meter.update({ ...counts, active: 1, waitingTokens: 1000 - index }, index),
  ).filter((load) => load !== undefined);
  expect(reports[0]).toEqual({ active: 1, queued: 0, waitingTokens: 1024 });
  expect(reports.at(-1)).toEqual({ active: 1, queued: 0, waitingTokens: 0 });
  expect(reports.length).toBeLessThan(80);
  for (const { waitingTokens } of reports) expect(waitingTokens).toBeGreaterThanOrEqual(0);
});

test('tells how long sequences run, from how many run and how many end', () => {
  const meter = new LoadMeter(0);
  let [load, ended] = [meter.update({ ...counts, active: 4 }, 0), 0];
  // Four at a time, one ends every 250 ms: each runs for a second.
  for (let nowMs = 250; nowMs <= 25_000; nowMs += 250) {
    ended += 1;
    meter.update({ ...counts, active: 3, ended }, nowMs);
    load = meter.update({ ...counts, active: 4, ended }, nowMs);
  }
  expect(load?.sequenceMs).toBeCloseTo(1000, -1);
});

test('tells the speed of answers that ran alone, and of no others', () => {
  const meter = new LoadMeter(0);
  const speedAfter = (answer: { tokens: number; acceptedTokens?: number; decodeMs: number }, nowMs: number) => {
    meter.noteAnswer({ acceptedTokens: 0, ...answer }, nowMs);
    meter.update({ ...counts, active: 1 }, nowMs);
    return meter.update(counts, nowMs)?.tokensPerSecond;
  };
  expect(speedAfter({ tokens: 2, decodeMs: 10 }, 100)).toBeUndefined();
  expect(speedAfter({ tokens: 101, acceptedTokens: 50, decodeMs: 1000 }, 2000)).toBeUndefined();
  expect(speedAfter({ tokens: 101, decodeMs: 1000 }, 4000)).toBe(100);
  expect(speedAfter({ tokens: 101, decodeMs: 2000 }, 8000)).toBe(87.5);
  meter.update({ ...counts, active: 2 }, 9000);
  meter.update({ ...counts, active: 1 }, 9500);
  expect(speedAfter({ tokens: 101, decodeMs: 2000 }, 11_000)).toBe(87.5);
  expect(speedAfter({ tokens: 101, decodeMs: 1000 }, 12_000)).toBe(90.63);
});
