import type { Card, HeldStage } from '@skein/protocol';
import { expect, test } from 'vitest';

import { cardOf, gibibyte, heldStageOf, peerIdOf } from '../testing/fixtures.ts';
import { usableBytes, type PlacedStage } from './usable-peers.ts';

const [ada, bob] = [peerIdOf(1), peerIdOf(2)];

function held(change: Partial<HeldStage>): HeldStage {
  return { ...heldStageOf('deployment-1'), ...change };
}

function placed(change: Partial<PlacedStage>): PlacedStage {
  return { peer: ada, deployment: 'deployment-1', stage: 0, bytes: gibibyte, isLoading: false, ...change };
}

/** Gibibytes that a stage may take on a machine with 16, of which `free` are free. */
function usable(free: number, stages: readonly HeldStage[], known: readonly PlacedStage[] = []): number | undefined {
  const bytes = usableBytes(cardOf({ peer: ada, freeBytes: free * gibibyte, card: { stages: [...stages] } }), known);
  return bytes === undefined ? undefined : bytes / gibibyte;
}

test('is what is free, without stages', () => {
  expect(usable(10, [])).toBe(10);
});

test('is no more than what loaded stages leave of the memory, though their weights count as free', () => {
  expect(usable(15, [held({ bytes: 10 * gibibyte })])).toBe(6);
  expect(usable(3, [held({ bytes: 10 * gibibyte })])).toBe(3);
});

test('takes from what is free what stages that load will take', () => {
  expect(usable(10, [], [placed({ bytes: 4 * gibibyte, isLoading: true })])).toBe(6);
  expect(usable(10, [held({ state: 'loading', bytes: 4 * gibibyte })])).toBe(6);
});

test('counts a stage once that the card shows and that we placed', () => {
  const loading = held({ state: 'loading', bytes: 4 * gibibyte });
  expect(usable(10, [loading], [placed({ bytes: 4 * gibibyte, isLoading: true })])).toBe(6);
  expect(usable(15, [held({ bytes: 10 * gibibyte })], [placed({ bytes: 9 * gibibyte })])).toBe(6);
});

test('goes by what was planned while the card does not say', () => {
  expect(usable(15, [held({ state: 'loading' })], [placed({ bytes: 5 * gibibyte, isLoading: true })])).toBe(10);
  expect(usable(15, [held({})], [placed({ bytes: 10 * gibibyte })])).toBe(6);
});

test('tells stages of one deployment apart, and leaves those of other peers out', () => {
  const both = [held({ bytes: 6 * gibibyte }), held({ stage: 1, bytes: 6 * gibibyte })];
  expect(usable(15, both)).toBe(4);
  expect(usable(15, [], [placed({ peer: bob, isLoading: true })])).toBe(15);
});

test('is never below nothing', () => {
  expect(usable(1, [held({ bytes: 20 * gibibyte })])).toBe(0);
});

test('takes stages from the memory of a GPU, too, whose free bytes may be as old as the peer', () => {
  const gpus = [{ name: 'gpu', memoryBytes: 24 * gibibyte, freeMemoryBytes: 23 * gibibyte }];
  const withGpu = (stages: HeldStage[]): Card => {
    const card = cardOf({ peer: ada, freeBytes: 2 * gibibyte, card: { stages } });
    if (card.hardware === undefined) throw new Error('the fixture has hardware');
    return { ...card, hardware: { ...card.hardware, backend: 'vulkan', gpus } };
  };
  expect(usableBytes(withGpu([]), [])).toBe(23 * gibibyte);
  expect(usableBytes(withGpu([held({ bytes: 10 * gibibyte })]), [])).toBe(14 * gibibyte);
});

test('is undefined for a member without hardware', () => {
  const { hardware: _, ...card } = cardOf({ peer: ada });
  expect(usableBytes(card, [])).toBeUndefined();
});
