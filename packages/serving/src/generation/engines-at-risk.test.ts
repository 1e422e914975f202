import { expect, it } from 'vitest';

import { EnginesAtRisk } from './engines-at-risk.ts';

it('lets four engines die at most, also where two choices are at one each', () => {
  const engines = new EnginesAtRisk();
  const [one, other] = [{}, {}];
  for (const deployment of ['first', 'second', 'third']) {
    engines.died(deployment, one);
    engines.acquit(one);
  }
  const fourth = engines.enter('fourth');
  expect(fourth).toBeDefined();
  expect(engines.enter('fifth')).toBeUndefined();
  fourth?.[Symbol.dispose]();
  expect(engines.enter('fifth')).toBeDefined();
  engines.died('fifth', other);
  expect(engines.dead.size).toBe(4);
  expect(engines.enter('sixth')).toBeUndefined();
});
