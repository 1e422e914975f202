import { expect, test } from 'vitest';

import { defaultIdleMs, describeScaling, scalingOf, type ScalingRequest } from './scaling.ts';

const range = (min: number, max: number) => ({ min, max });

test.each<[ScalingRequest, ReturnType<typeof scalingOf>, string]>([
  [{ pinned: true }, { pinned: true }, 'pinned'],
  [{ replicas: range(1, 1) }, { replicas: range(1, 1), pinned: false }, '1 replica'],
  [{ replicas: range(2, 2), pinned: true }, { replicas: range(2, 2), pinned: true }, '2 replicas, pinned'],
  [
    { replicas: range(1, 3) },
    { replicas: range(1, 3), idleMs: defaultIdleMs, pinned: false },
    '1 to 3 replicas by demand, fewer after 30 minutes without',
  ],
  [
    { idleMs: 60_000 },
    { replicas: range(0, 1), idleMs: 60_000, pinned: false },
    '0 to 1 replica by demand, fewer after 1 minute without',
  ],
  [{ standby: 1 }, { pinned: false, standby: 1 }, '1 standby'],
  [
    { replicas: range(2, 2), standby: 2 },
    { replicas: range(2, 2), pinned: false, standby: 2 },
    '2 replicas, 2 standbys',
  ],
  [{ standby: 0 }, { pinned: false }, ''],
])('makes the terms of %j', (request, scaling, described) => {
  expect(scalingOf(request)).toEqual(scaling);
  expect(scaling && describeScaling(scaling)).toBe(described);
});

test('leaves the terms alone that nobody asks to change, and refuses those that contradict each other', () => {
  expect(scalingOf({})).toBeUndefined();
  expect(() => scalingOf({ replicas: range(3, 1) })).toThrow('give the smaller number first');
  expect(() => scalingOf({ replicas: range(2, 2), idleMs: 60_000 })).toThrow('where there may be fewer');
  expect(() => scalingOf({ pinned: false, idleMs: 60_000 })).not.toThrow();
});
