import type { Card, HeldStage } from '@skein/protocol';
import { expect, test } from 'vitest';

import { deploymentsOf } from './deployments.ts';

function card(name: string, stages: readonly HeldStage[]): Card {
  return {
    peer: `peer-of-${name}-0000`,
    name,
    version: 1,
    roles: ['peer'],
    software: 'skein',
    addresses: [],
    models: [],
    stages: [...stages],
  };
}

function stage(change: Partial<HeldStage>): HeldStage {
  return {
    deployment: 'deployment-1',
    model: 'a'.repeat(64),
    name: 'tiny',
    stage: 0,
    stages: 2,
    block: { from: 0, to: 3 },
    state: 'ready',
    contextTokens: 512,
    sequences: 4,
    bytes: 0,
    active: 0,
    queued: 0,
    ...change,
  };
}

test('puts the stages of a deployment together, in pipeline order', () => {
  const tail = card('attic', [stage({ stage: 1, block: { from: 3, to: 6 } })]);
  const lead = card('cellar', [stage({ active: 2, queued: 1 })]);
  expect(deploymentsOf([tail, lead])).toEqual([
    {
      id: 'deployment-1',
      name: 'tiny',
      model: 'a'.repeat(64),
      isReady: true,
      isStandby: false,
      isDraining: false,
      stages: [
        { peer: lead.peer, on: 'cellar', layers: [0, 3], state: 'ready' },
        { peer: tail.peer, on: 'attic', layers: [3, 6], state: 'ready' },
      ],
      contextTokens: 512,
      sequences: 4,
      active: 2,
      queued: 1,
    },
  ]);
});

test('does not call a deployment ready whose lead is not', () => {
  const loading = deploymentsOf([card('cellar', [stage({ state: 'loading' })])]);
  const headless = deploymentsOf([card('attic', [stage({ stage: 1 })])]);
  expect([...loading, ...headless].map(({ isReady }) => isReady)).toEqual([false, false]);
});

test('tells deployments of the same model apart', () => {
  const ids = deploymentsOf([
    card('cellar', [stage({ deployment: 'b-deployment' }), stage({ deployment: 'a-deployment' })]),
  ]);
  expect(ids.map(({ id }) => id)).toEqual(['a-deployment', 'b-deployment']);
});

test('calls a deployment draining when its lead is', () => {
  const [view] = deploymentsOf([card('cellar', [stage({ state: 'draining' })])]);
  expect(view).toMatchObject({ isReady: false, isDraining: true });
});
