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

it('lets a choice back to a deployment whose lost stage was replaced, and counts the death all the same', () => {
  const engines = new EnginesAtRisk();
  const choice = {};
  engines.died('first', choice);
  expect(engines.enter('first')).toBeUndefined();
  engines.rebuilt('first');
  expect(engines.dead.has('first')).toBe(false);
  expect(engines.enter('first')).toBeDefined();
  engines.died('first', choice);
  expect(engines.areSpent).toBe(true);
  engines.rebuilt('first');
  expect(engines.areSpent).toBe(true);
});
