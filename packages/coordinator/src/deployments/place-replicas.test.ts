import { deploymentSpec } from '@skein/protocol';
import { expect, test } from 'vitest';

import { cardOf, gibibyte, manifestOf, peerIdOf } from '../testing/fixtures.ts';
import { DesiredState } from './desired-state.ts';
import { placeAllThatFit, placeReplicas, together } from './place-replicas.ts';
import { reconcile, type Observed } from './reconcile.ts';

const [ada, bob, eve] = [peerIdOf(1), peerIdOf(2), peerIdOf(3)];
const never = new AbortController().signal;
const whole = manifestOf({ name: 'whole', layers: 8, layerBytes: gibibyte / 4 });
const spec = deploymentSpec({ contextTokens: 1024 }, whole.model);

/** Room for two, one and none of a model of 2 GiB. */
const cards = [
  cardOf({ peer: ada, freeBytes: 5 * gibibyte, holds: [whole] }),
  cardOf({ peer: bob, freeBytes: 3 * gibibyte }),
  cardOf({ peer: eve, freeBytes: gibibyte / 8 }),
];
const mesh = { cards, manifest: whole };

test('plans as many replicas as reconciling places of as many deployments, where it places them', () => {
  const state = new DesiredState();
  for (const id of ['a', 'b', 'c']) state.add({ id, name: 'whole', spec });
  const desired = state.list();
  const observed: Observed = {
    cards,
    progress: new Map(desired.map(({ id }) => [id, { step: 'fetched', manifest: whole, sinceMs: 0 }])),
    ended: new Set(),
    nowMs: 0,
    demand: new Map(),
    addedAtMs: new Map(),
  };
  const placed = reconcile(desired, observed).flatMap((action) => (action.type === 'place' ? [action.placement] : []));
  const planned = [...placeReplicas({ spec, isReplacement: false }, mesh, { count: 3 })];
  expect(planned).toEqual(placed);
  // First one on each machine with room, then where there is most.
  expect(planned.map(({ plan }) => plan.stages.map(({ peer }) => peer))).toEqual([[ada], [bob], [ada]]);
});

test('says why no further replica has a place', async () => {
  const found = await placeAllThatFit(mesh, { spec, count: 4 }, never);
  expect(found.placements).toHaveLength(3);
  expect(found.problem).toMatchObject({ code: 'does-not-fit' });
  expect(found.problem?.message).toMatch(/ short\..*one with \d+ GB of memory would do/);
  expect(found.smallerContext).toBeUndefined();
});

test('says with which smaller context more replicas have a place', async () => {
  // A context of 4096 tokens takes 128 MiB, one of 32,768 a GiB.
  const shape = { contextLength: 32_768, kvBytesPerTokenPerLayer: 4096 };
  const manifest = manifestOf({ name: 'whole', layers: 8, layerBytes: gibibyte / 4, shape });
  const one = [cardOf({ peer: ada, freeBytes: 4.75 * gibibyte })];
  const unasked = deploymentSpec({}, manifest.model);
  const found = await placeAllThatFit({ cards: one, manifest }, { spec: unasked, count: 2 }, never);
  expect(found.placements.map((placement) => placement.spec.contextTokens)).toEqual([8192]);
  expect(found.smallerContext).toEqual({ contextTokens: 4096, replicas: 2 });
});

test('adds up replicas, of which those on one machine share its time', () => {
  const planned = [...placeReplicas({ spec, isReplacement: false }, mesh, { count: 3 })];
  const [alone] = planned;
  const all = together(planned, 4);
  expect(all).toMatchObject({ replicas: 3, asked: 4, machines: 2, sequences: 12 });
  // Two of the three are on one machine: they are as fast as one.
  const speed = alone?.plan.prediction.saturatedTokensPerSecond ?? 0;
  expect(all?.saturatedTokensPerSecond).toBeCloseTo(2 * speed);
  expect(all?.bytes).toBe(planned.flatMap(({ plan }) => plan.stages).reduce((sum, { bytes }) => sum + bytes, 0));
  expect(together([], 2)).toBeUndefined();
});
