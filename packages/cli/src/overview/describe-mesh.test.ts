import type { Card } from '@skein/protocol';
import { expect, test } from 'vitest';

import { describeMesh } from './describe-mesh.ts';

const card: Card = {
  peer: 'peer-of-cellar-0000',
  name: 'cellar',
  version: 1,
  roles: ['peer'],
  software: 'skein',
  addresses: [],
  models: [],
  stages: [],
};

function describe(cores: number, queued: number): string {
  const hardware = {
    platform: 'linux',
    cpu: 'Z80',
    cores,
    memoryBytes: 0,
    freeMemoryBytes: 0,
    backend: 'cpu',
    gpus: [],
  };
  const stage: Card['stages'][number] = {
    deployment: 'deployment-1',
    model: 'a'.repeat(64),
    name: 'tiny',
    stage: 0,
    stages: 1,
    block: { from: 0, to: 3 },
    state: 'ready',
    contextTokens: 512,
    sequences: 4,
    bytes: 0,
    active: 1,
    queued,
  };
  return describeMesh({
    pid: 1,
    peer: card.peer,
    startedAtMs: 0,
    hasIdentityConflict: false,
    traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
    cards: [{ ...card, hardware, stages: [stage] }],
  });
}

test.each([
  [1, 1, ['Z80, 1 core, cpu', '1 request waiting']],
  [8, 2, ['Z80, 8 cores, cpu', '2 requests waiting']],
])('counts as people do: %i, %i', (cores, queued, said) => {
  for (const part of said) expect(describe(cores, queued)).toContain(part);
});
