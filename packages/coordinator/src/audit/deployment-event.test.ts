import type { DeploymentState, DeploymentStatus } from '@skein/protocol';
import { expect, test } from 'vitest';

import { peerIdOf, sha256, statusOf } from '../testing/fixtures.ts';
import { deploymentEvent } from './deployment-event.ts';
import { auditEventSchema } from './events.ts';

const stage = { plannedBytes: 1, state: 'ready' as const };
const status = statusOf({
  model: sha256('tiny'),
  stages: [
    { ...stage, peer: peerIdOf(1), block: { from: 0, to: 5 } },
    { ...stage, peer: peerIdOf(2), block: { from: 5, to: 8 } },
  ],
});
const stageLost = { code: 'stage-lost', message: 'the lead named a path: /home/ada' };

test.each<[before: DeploymentState, change: Partial<DeploymentStatus>, event: object]>([
  ['connecting', { state: 'ready' }, { action: 'deployed' }],
  ['ready', { state: 'failed', error: stageLost }, { action: 'lost', error: 'stage-lost' }],
  ['loading', { state: 'failed', error: stageLost }, { action: 'failed', error: 'stage-lost' }],
  ['ready', { state: 'closed' }, { action: 'undeployed' }],
  ['draining', { state: 'closed' }, { action: 'undeployed' }],
  ['draining', { state: 'failed', error: stageLost }, { action: 'lost', error: 'stage-lost' }],
  ['loading', { state: 'closed' }, { action: 'failed', error: 'aborted' }],
])('from %s to %j is told as %j', (before, change, expected) => {
  const event = deploymentEvent({ ...status, ...change }, before);
  expect(event).toEqual({
    type: 'deployment',
    deployment: 'deployment-1',
    model: 'tiny',
    sha256: sha256('tiny'),
    stages: [
      { peer: peerIdOf(1), from: 0, to: 5 },
      { peer: peerIdOf(2), from: 5, to: 8 },
    ],
    ...expected,
  });
  expect(auditEventSchema.parse(event)).toEqual(event);
});

test.each<[before: DeploymentState, state: DeploymentState]>([
  ['failed', 'closed'],
  ['loading', 'connecting'],
  ['ready', 'ready'],
  ['ready', 'draining'],
])('from %s to %s is not told', (before, state) => {
  expect(deploymentEvent({ ...status, state }, before)).toBeUndefined();
});
