import { expect, it } from 'vitest';

import { runAttacks } from '../../scripts/attacks/run-attacks.ts';

it('refuses every attack, says so in the log, and serves throughout', async () => {
  const { outcomes, servedThroughout, answers } = await runAttacks({ signal: AbortSignal.timeout(110_000) });
  expect(outcomes.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(outcomes.length).toBeGreaterThanOrEqual(30);
  expect(answers).toBeGreaterThan(0);
  expect(servedThroughout).toBe(true);
}, 120_000);
