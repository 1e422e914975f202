import { expect, test } from 'vitest';

import { chooseExpertOffload, chooseOffload } from './offload.ts';

const options = { spread: { by: 'order' as const } };
/** Four layers of 10, of which 8 are experts, and an output matrix of 4: 44 in all. */
const sizes = { layers: [10, 10, 10, 10], experts: [8, 8, 8, 8], output: 4 };

test.each([
  [44, 0],
  [43, 1],
  [36, 1],
  [35, 2],
  [12, 4],
])('with room for %d keeps all layers on the GPU, and the experts of %d in main memory', (room, expertLayers) => {
  const offload = chooseExpertOffload(sizes, { ...options, rooms: [room] });
  expect(offload).toMatchObject({ parts: 5, expertLayers });
  expect(offload.devices[0]?.bytes).toBe(44 - 8 * expertLayers);
});

test('places fewer layers where not even all but experts fits', () => {
  expect(chooseExpertOffload(sizes, { ...options, rooms: [9] })).toMatchObject({ parts: 3, expertLayers: 4 });
});

test('keeps as many experts in main memory as were asked for, and no more than there are layers', () => {
  expect(chooseExpertOffload(sizes, { ...options, rooms: [44], expertLayers: 3 })).toMatchObject({ expertLayers: 3 });
  expect(chooseExpertOffload(sizes, { ...options, rooms: [44], expertLayers: 9 })).toMatchObject({ expertLayers: 4 });
});

test('is that of whole layers for a model without experts', () => {
  const dense = { layers: sizes.layers, output: sizes.output };
  const rooms = [25];
  expect(chooseExpertOffload(dense, { ...options, rooms, least: 2 })).toEqual({
    ...chooseOffload(dense, { ...options, rooms }),
    expertLayers: 0,
  });
});
