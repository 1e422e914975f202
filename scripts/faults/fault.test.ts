import { expect, test } from 'vitest';

import { drawFaults, faultKinds } from './fault.ts';

const draw = (seed: number, count: number) => drawFaults(seed).take(count).toArray();

test('draws the same faults for the same seed, and others for another', () => {
  expect(draw(1, 40)).toEqual(draw(1, 40));
  expect(draw(1, 40)).not.toEqual(draw(2, 40));
});

test('draws each kind once in every round', () => {
  const names = draw(3, 2 * faultKinds.length).map(({ action, target }) => `${action} ${target}`);
  const all = faultKinds.map((kind) => kind.join(' ')).sort();
  expect(names.slice(0, faultKinds.length).sort()).toEqual(all);
  expect(names.slice(faultKinds.length).sort()).toEqual(all);
});
