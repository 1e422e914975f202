import { expect, test } from 'vitest';

import { cardOf, gibibyte, heldStageOf, mebibyte, peerIdOf, sha256 } from '../testing/fixtures.ts';
import { peerForStage } from './peer-for-stage.ts';

const [ada, bob, eve, joe] = [peerIdOf(1), peerIdOf(2), peerIdOf(3), peerIdOf(4)];
const stages = [ada, bob].map((peer) => ({ peer, plannedBytes: gibibyte }));
/** Stage 2 of 2, which was on Bob's machine. */
const lost = {
  deployment: 'deployment-1',
  model: sha256('m'),
  labels: undefined,
  stage: 1,
  stages,
  microBatchRows: 128,
};
const cards = [
  cardOf({ peer: ada, freeBytes: 8 * gibibyte }),
  cardOf({ peer: bob, freeBytes: 2 * gibibyte }),
  cardOf({ peer: eve, freeBytes: 4 * gibibyte }),
  cardOf({ peer: joe, freeBytes: 6 * gibibyte }),
];
const without = (...peers: readonly string[]) => cards.filter(({ peer }) => !peers.includes(peer));

test('a lost stage goes back to the peer that had it, even while its card still shows the old one', () => {
  expect(peerForStage(cards, [], lost)).toBe(bob);
  const stale = { ...heldStageOf('deployment-1'), stage: 1, stages: 2, bytes: 9 * gibibyte };
  const shown = [...without(bob), cardOf({ peer: bob, freeBytes: 2 * gibibyte, card: { stages: [stale] } })];
  const placed = [{ peer: bob, deployment: 'deployment-1', model: sha256('m'), stage: 1, bytes: 9 * gibibyte }];
  expect(peerForStage(shown, placed, lost)).toBe(bob);
});

test('a lost stage goes to the roomiest other peer where that one is gone, stops, is full or is drained', () => {
  expect(peerForStage(without(bob), [], lost)).toBe(joe);
  expect(peerForStage([...without(bob), cardOf({ peer: bob, freeBytes: mebibyte })], [], lost)).toBe(joe);
  const drained = cardOf({ peer: bob, card: { draining: true } });
  expect(peerForStage([...without(bob), drained], [], lost)).toBe(joe);
  expect(peerForStage(cards, [], { ...lost, isLeft: true })).toBe(joe);
});

test('a lost stage never goes to a peer with another stage of the deployment, nor where there is no room', () => {
  expect(peerForStage(without(bob, eve, joe), [], lost)).toBeUndefined();
  const loading = {
    peer: eve,
    deployment: 'other',
    model: sha256('m'),
    stage: 0,
    bytes: 3.5 * gibibyte,
  };
  expect(peerForStage(without(bob, joe), [loading], lost)).toBeUndefined();
});

test('a lost stage goes to a peer that is closed to it only where that had it', () => {
  expect(peerForStage(without(bob), [], { ...lost, closed: [joe] })).toBe(eve);
  expect(peerForStage(without(bob), [], { ...lost, closed: [eve, joe] })).toBeUndefined();
  expect(peerForStage(cards, [], { ...lost, closed: [bob] })).toBe(bob);
});

test('a lost stage goes to no machine without the labels of its deployment', () => {
  const labels = { zone: 'eu' };
  expect(peerForStage(cards, [], { ...lost, labels })).toBeUndefined();
  const labelled = cardOf({ peer: eve, freeBytes: 4 * gibibyte, card: { labels } });
  expect(peerForStage([...without(eve), labelled], [], { ...lost, labels })).toBe(eve);
});

test('a lost stage needs a peer that takes micro-batches as large as those of the others', () => {
  expect(peerForStage(cards, [], { ...lost, microBatchRows: 512 })).toBeUndefined();
});
