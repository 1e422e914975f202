import { invariant, type HeldStage } from '@skein/protocol';
import { describe, expect, test } from 'vitest';

import { cardOf, gibibyte, heldStageOf, peerIdOf } from '../testing/fixtures.ts';
import { roomOn, type PlacedStage } from './usable-peers.ts';

const [ada, bob] = [peerIdOf(1), peerIdOf(2)];

function held(change: Partial<HeldStage>): HeldStage {
  return { ...heldStageOf('deployment-1'), ...change };
}

function placed(change: Partial<PlacedStage>): PlacedStage {
  const { model } = heldStageOf('deployment-1');
  return { peer: ada, deployment: 'deployment-1', model, stage: 0, bytes: gibibyte, ...change };
}

/** Gibibytes that a stage may take on a machine with 16, of which `free` are free. */
function usable(free: number, stages: readonly HeldStage[], known: readonly PlacedStage[] = []): number | undefined {
  const room = roomOn(cardOf({ peer: ada, freeBytes: free * gibibyte, card: { stages: [...stages] } }), known);
  return room && room.bytes / gibibyte;
}

test('is what is free, without stages', () => {
  expect(usable(10, [])).toBe(10);
});

test('is no more than what loaded stages leave of the memory, though their weights count as free', () => {
  expect(usable(15, [held({ bytes: 10 * gibibyte })])).toBe(6);
  expect(usable(3, [held({ bytes: 10 * gibibyte })])).toBe(3);
});

test('takes from what is free what stages that load will take', () => {
  expect(usable(10, [], [placed({ bytes: 4 * gibibyte })])).toBe(6);
  expect(usable(10, [held({ state: 'loading', bytes: 4 * gibibyte })])).toBe(6);
});

test('takes from what is free what stages will take that the card does not show as loaded, whoever says they are', () => {
  expect(usable(10, [], [placed({ bytes: 4 * gibibyte })])).toBe(6);
  expect(usable(10, [held({ state: 'loading' })], [placed({ bytes: 4 * gibibyte })])).toBe(6);
  expect(usable(10, [held({ bytes: 4 * gibibyte })], [placed({ bytes: 4 * gibibyte })])).toBe(10);
});

test('counts a stage once that the card shows and that we placed', () => {
  const loading = held({ state: 'loading', bytes: 4 * gibibyte });
  expect(usable(10, [loading], [placed({ bytes: 4 * gibibyte })])).toBe(6);
  expect(usable(15, [held({ bytes: 10 * gibibyte })], [placed({ bytes: 9 * gibibyte })])).toBe(6);
});

test('leaves what placements have reserved to them, and counts it once where we placed the stage or it is shown', () => {
  const reserved = [{ deployment: 'deployment-1', stage: 0, bytes: 4 * gibibyte }];
  const roomWith = (stages: HeldStage[], known: PlacedStage[]) => {
    const room = roomOn(cardOf({ peer: ada, freeBytes: 10 * gibibyte, card: { stages, reserved } }), known);
    return room && room.bytes / gibibyte;
  };
  expect(roomWith([], [])).toBe(6);
  expect(roomWith([], [placed({ bytes: 4 * gibibyte })])).toBe(6);
  expect(roomWith([held({ state: 'loading', bytes: 4 * gibibyte })], [])).toBe(6);
  expect(roomWith([held({ deployment: 'deployment-2', state: 'loading', bytes: gibibyte })], [])).toBe(5);
});

test('goes by what was planned while the card does not say', () => {
  expect(usable(15, [held({ state: 'loading' })], [placed({ bytes: 5 * gibibyte })])).toBe(10);
  expect(usable(15, [held({})], [placed({ bytes: 10 * gibibyte })])).toBe(6);
});

test('tells stages of one deployment apart, and leaves those of other peers out', () => {
  const both = [held({ bytes: 6 * gibibyte }), held({ stage: 1, bytes: 6 * gibibyte })];
  expect(usable(15, both)).toBe(4);
  expect(usable(15, [], [placed({ peer: bob })])).toBe(15);
});

test('is never below nothing', () => {
  expect(usable(1, [held({ bytes: 20 * gibibyte })])).toBe(0);
});

describe('on a machine with a GPU of 24 GiB, 23 of them free, and 2 GiB of free main memory', () => {
  const gpus = [{ name: 'gpu', memoryBytes: 24 * gibibyte, freeMemoryBytes: 23 * gibibyte }];
  function room(stages: readonly HeldStage[], known: readonly PlacedStage[] = []) {
    const card = cardOf({ peer: ada, freeBytes: 2 * gibibyte, card: { stages: [...stages] } });
    const hardware = invariant(card.hardware, 'the fixture has hardware');
    const found = roomOn({ ...card, hardware: { ...hardware, backend: 'vulkan', gpus } }, known);
    return found && [found.deviceBytes / gibibyte, found.bytes / gibibyte];
  }

  test('is that of the GPU less 1 GiB, and main memory for what does not fit there', () => {
    expect(room([])).toEqual([22, 24]);
  });

  test('takes stages from the memory that they lie in, whose free bytes may be older', () => {
    const onGpu = { name: 'gpu', layers: 8, bytes: 10 * gibibyte };
    const placement = { backend: 'vulkan', devices: [onGpu], cpuLayers: 0, fallbacks: [] };
    expect(room([held({ bytes: 10 * gibibyte, placement })])).toEqual([13, 15]);
    const split = { ...placement, cpuLayers: 8 };
    expect(room([held({ bytes: 25 * gibibyte, placement: split })])).toEqual([13, 14]);
  });

  test('takes those that do not say from the GPU first', () => {
    expect(room([held({ bytes: 10 * gibibyte })])).toEqual([13, 15]);
    expect(room([], [placed({ bytes: 10 * gibibyte })])).toEqual([12, 14]);
  });

  test('is nothing once the GPU is full', () => {
    expect(room([held({ bytes: 23 * gibibyte })])).toEqual([0, 0]);
  });
});

test('is undefined for a member without hardware', () => {
  const { hardware: _, ...card } = cardOf({ peer: ada });
  expect(roomOn(card, [])).toBeUndefined();
});
