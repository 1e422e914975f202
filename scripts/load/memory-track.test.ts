import { expect, it } from 'vitest';

import { summaryOf } from './memory-track.ts';
import { failuresOf, type LoadReport } from './run-load.ts';

const mebibyte = 2 ** 20;
const report: LoadReport = {
  requests: 10,
  connections: 2,
  seconds: 1,
  requestsPerSecond: 10,
  answered: 10,
  lost: {},
  refusals: 3,
  refusedByAdmission: 3,
  answerMs: { p50: 1, p95: 2, max: 3, n: 10 },
  memory: { peer: { earlyBytes: 100 * mebibyte, lateBytes: 120 * mebibyte, peakBytes: 150 * mebibyte } },
};

it('compares the second fifth of a run with the last', () => {
  expect(summaryOf([9, 1, 1, 9, 2, 2, 3, 3, 4, 5])).toEqual({ earlyBytes: 5, lateBytes: 4.5, peakBytes: 9 });
  expect(summaryOf([1])).toEqual({ earlyBytes: 1, lateBytes: 1, peakBytes: 1 });
});

it('fails for what was lost, for refusals of others than the admission, and for memory that grows', () => {
  expect(failuresOf(report)).toEqual([]);
  const grown = { earlyBytes: 100 * mebibyte, lateBytes: 140 * mebibyte, peakBytes: 140 * mebibyte };
  const lost = { 'a wrong text': 2 };
  expect(failuresOf({ ...report, lost, refusedByAdmission: 2, memory: { peer: grown } })).toEqual([
    '2 requests were lost: a wrong text',
    '3 refusals, 2 of them by admission',
    'the memory of the peer grew',
  ]);
});
