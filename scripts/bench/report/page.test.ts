import { expect, it } from 'vitest';

import type { BenchReport } from '../bench-case.ts';
import { benchmarksPage } from './page.ts';

const ratio = { median: 0.912_34, min: 0.9, max: 1.1, pairs: 5 };
const report: BenchReport = {
  case: 'prefill',
  model: 'smollm2-135m-instruct, synthetic',
  machine: 'a machine',
  ratios: { prefill: ratio, 'prefill@synthetic': { ...ratio, median: 0.8 } },
  rows: [
    { model: 'smollm2', what: 'skein', promptTokensPerSecond: 228.78 },
    { model: 'smollm2', what: 'ceiling', promptTokensPerSecond: 251.6, note: 'more' },
  ],
};

it('has a line per ratio with both models, and the figures of each case', () => {
  const page = benchmarksPage([report]);
  expect(page).toMatch(/^\| `prefill` \| .* \| 0\.912 \(0\.900 to 1\.10\).* \| 0\.800 \(0\.900 to 1\.10\).* \|$/m);
  expect(page).toContain('### prefill');
  expect(page).toContain('| smollm2 | ceiling | 252 | more |');
  expect(page).toContain('Machine: a machine.');
});

it('says which CPU backend each program took', () => {
  const page = benchmarksPage([
    { ...report, kernels: { engine: ['icelake'] } },
    { ...report, kernels: { engine: ['icelake', 'zen4'], 'llama-server': ['icelake'] } },
  ]);
  expect(page).toContain('CPU backends that were taken: engine icelake or zen4, llama-server icelake.');
});

it('leaves out what was not measured', () => {
  expect(benchmarksPage([report])).not.toContain('`replica1`');
});
