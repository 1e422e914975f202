import { expect, test } from 'vitest';

import { drawFaults, faultSignals, faultTargets } from './fault.ts';

test('draws the same faults for the same seed, and others for another', () => {
  expect(drawFaults(44, 1)).toEqual(drawFaults(44, 1));
  expect(drawFaults(44, 1)).not.toEqual(drawFaults(44, 2));
  expect(drawFaults(5, 1)).toEqual(drawFaults(44, 1).slice(0, 5));
});

test('draws each signal on each target in every nine', () => {
  const kinds = drawFaults(18, 3).map(({ signal, target }) => `${signal} ${target}`);
  const all = faultTargets.flatMap((target) => faultSignals.map((signal) => `${signal} ${target}`)).sort();
  expect([kinds.slice(0, 9).sort(), kinds.slice(9).sort()]).toEqual([all, all]);
});
