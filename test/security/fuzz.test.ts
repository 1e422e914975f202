import { expect, it } from 'vitest';

import { fuzz } from '../../scripts/fuzz/fuzz.ts';

it('no decoder that another machine can reach breaks, whatever it is given', async () => {
  const reports = await fuzz({ inputs: 8000 });
  expect(reports.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(reports.length).toBeGreaterThan(30);
}, 110_000);
