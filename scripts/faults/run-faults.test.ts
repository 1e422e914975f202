import { expect, test } from 'vitest';

import { failuresOf } from './report.ts';
import { runFaults } from './run-faults.ts';

/** The short form of `npm run faults`. */
test.skipIf(process.platform !== 'linux')(
  'a mesh loses answers to faults with an error, and neither hangs, nor garbles, nor leaves anything',
  async () => {
    const signal = AbortSignal.timeout(280_000);
    const report = await runFaults({ faults: 3, seed: 6, streams: 4, leastTokens: 100, mostTokens: 200, signal });
    expect(failuresOf(report)).toEqual([]);
    expect(report.faults.map(({ nextAnswerMs }) => Object.keys(nextAnswerMs).sort())).toEqual(
      Array.from({ length: 3 }, () => ['replicated', 'split']),
    );
    expect(report.answered).toBeGreaterThan(0);
  },
  300_000,
);
