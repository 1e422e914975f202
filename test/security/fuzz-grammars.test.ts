import { expect, it } from 'vitest';

import { fuzzGrammars } from '../../scripts/fuzz/grammars/fuzz-grammars.ts';

it('no grammar and no schema ends or stalls an engine, or changes what others get from it', async () => {
  const report = await fuzzGrammars({ inputs: 500, seed: 1 });
  expect(report.failures).toEqual([]);
  expect(report.followed).toBeGreaterThan(100);
  expect(report.refused).toBeGreaterThan(100);
}, 110_000);
