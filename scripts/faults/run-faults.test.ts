import { expect, test } from 'vitest';

import { missingForLan } from '../lan/missing.ts';
import { failuresOf } from './report.ts';
import { runFaults } from './run-faults.ts';

const missing = await missingForLan();

/** The short form of `npm run faults`. */
test('a mesh loses no answer, repeats and leaves out no token, and leaves nothing behind', async ({ skip }) => {
  if (missing !== undefined) skip(missing);
  const signal = AbortSignal.timeout(280_000);
  const report = await runFaults({ minutes: 0.25, seed: 6, streams: 4, leastTokens: 100, mostTokens: 200, signal });
  expect(failuresOf(report)).toEqual([]);
  expect(report.completed).toBeGreaterThan(0);
}, 300_000);
