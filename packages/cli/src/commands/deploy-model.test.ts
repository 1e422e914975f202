import type { Deployment } from '@skein/client';
import { deploymentDefaults, type Card } from '@skein/protocol';
import { expect, test } from 'vitest';

import { describeDeployment, stepOf } from './deploy-model.ts';

const model = 'a'.repeat(64);
const block = { from: 0, to: 3 };
const deployment: Deployment = {
  id: 'deployment-2',
  model,
  name: 'tiny',
  state: 'ready',
  stages: [{ peer: 'peer-of-attic-000001', block, plannedBytes: 9, state: 'ready' }],
  ...deploymentDefaults,
  contextTokens: 512,
  microBatchRows: 128,
  explanation: 'one peer holds it all',
  startedAt: 1,
};

/** A card that shows a ready replica of the model for each id. */
function attic(...deployments: readonly string[]): Card {
  const numbers = { contextTokens: 512, sequences: 4, bytes: 0, active: 0, queued: 0 };
  const stage = { model, name: 'tiny', stage: 0, stages: 1, block, state: 'ready' as const, ...numbers };
  return {
    peer: 'peer-of-attic-000001',
    name: 'attic',
    version: 1,
    roles: ['peer'],
    software: 'skein',
    addresses: [],
    models: [],
    stages: deployments.map((id) => ({ ...stage, deployment: id })),
  };
}

test('says who holds which layers', () => {
  const text = 'tiny is deployed (deployment-2):\n  layers 0–2 on attic (…000001)';
  expect(describeDeployment(deployment, [attic()])).toBe(text);
  expect(describeDeployment(deployment, [attic('deployment-2')])).toBe(text);
});

test('says so when it is one more replica', () => {
  expect(describeDeployment(deployment, [attic('deployment-1')])).toMatch(
    /\nthis is replica 2 of tiny; `skein undeploy deployment-2` takes it down again$/,
  );
});

test('says by which terms replicas come and go', () => {
  const terms = { replicas: { min: 0, max: 1 }, idleMs: 60_000, pinned: false, standby: 1 };
  expect(describeDeployment({ ...deployment, ...terms }, [attic()])).toMatch(
    /\n {2}0 to 1 replica by demand, fewer after 1 minute without, 1 standby; `skein status` shows where$/,
  );
});

test('shows the phase of the slowest stage, and loaded stages as done', () => {
  const stage = { peer: 'peer-of-attic-000001', block, plannedBytes: 9 };
  const loaded = { ...stage, state: 'ready' as const, backend: 'cpu', fetchedBytes: 0, fileBytes: 30 };
  const at = (phase: 'fetch' | 'load') => ({ phase, doneBytes: 1, totalBytes: 10 });
  const loading = { ...stage, state: 'loading' as const, progress: at('load') };
  const fetching = { ...stage, state: 'loading' as const, progress: at('fetch') };
  expect(stepOf([loaded, loading, fetching])).toEqual({ label: 'fetch layers', doneBytes: 1, totalBytes: 10 });
  expect(stepOf([loaded, loading])).toEqual({ label: 'load layers', doneBytes: 31, totalBytes: 40 });
  expect(stepOf([{ ...stage, state: 'loading' }])).toBeUndefined();
});
