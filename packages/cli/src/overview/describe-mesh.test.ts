import type { Card, Hardware, HeldStage } from '@skein/protocol';
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

/** Describes a mesh of one machine that holds a stage, with changes to what its card says. */
function describe(
  cores: number,
  queued: number,
  change: { card?: Partial<Card>; hardware?: Partial<Hardware>; stage?: Partial<HeldStage> } = {},
): string {
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
    cards: [
      {
        ...card,
        ...change.card,
        hardware: { ...hardware, ...change.hardware },
        stages: [{ ...stage, ...change.stage }],
      },
    ],
  });
}

test.each([
  [1, 1, ['Z80, 1 core, cpu', '1 request waiting']],
  [8, 2, ['Z80, 8 cores, cpu', '2 requests waiting']],
])('counts as people do: %i, %i', (cores, queued, said) => {
  for (const part of said) expect(describe(cores, queued)).toContain(part);
});

test('says how many requests wait where the machine coordinates', () => {
  const said = describeMesh({
    pid: 1,
    peer: card.peer,
    startedAtMs: 0,
    hasIdentityConflict: false,
    traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
    cards: [card],
    admission: [{ model: 'a'.repeat(64), admitted: 1, waiting: 12, bound: 128, refused: 3 }],
  });
  expect(said).toContain(`for ${'a'.repeat(64)}: 1 request running, 12 waiting (128 may), 3 refused`);
});

test('says what a deployment waits for', () => {
  const status = { pid: 1, peer: card.peer, startedAtMs: 0, hasIdentityConflict: false, cards: [card] };
  const traffic = { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} };
  const waiting = [{ id: 'deployment-1', name: 'tiny', reason: 'only 1 machine can serve' }];
  const said = describeMesh({ ...status, traffic, waiting });
  expect(said).toContain(
    'tiny, deployment deployment-1: waiting, and deployed when it can be\n  only 1 machine can serve',
  );
  expect(said).not.toContain('Nothing is deployed');
});

test('says where a stage lies, what did not go as wished, and why a GPU is not used', () => {
  const gpu = { name: 'RTX 3090', memoryBytes: 24 * 1024 ** 3, freeMemoryBytes: 22.5 * 1024 ** 3 };
  const devices = [{ name: gpu.name, layers: 2, bytes: 5 }];
  const placement = { backend: 'cuda', devices, cpuLayers: 1, fallbacks: ['the older build of cuda'] };
  const onGpu = describe(8, 0, { hardware: { backend: 'cuda', gpus: [gpu] }, stage: { placement } });
  expect(onGpu).toContain('Z80, 8 cores, cuda, RTX 3090 with 22.5 GiB free');
  expect(onGpu).toContain('2 layers on RTX 3090, 1 layer on the CPU by cuda; the older build of cuda');
  expect(describe(8, 0, { hardware: { fallback: 'cuda: run `skein gpu setup`' } })).toContain(
    'cpu (cuda: run `skein gpu setup`)',
  );
});

test.each([
  [true, ': out: it gives other answers'],
  [false, ': ready, but it or a replica like it gives wrong answers'],
])('says what a coordinator, and nobody else, found of its answers: out %s', (isOut, said) => {
  const doubts = [{ deployment: 'deployment-1', isOut }];
  expect(describe(1, 0, { card: { roles: ['coordinator', 'peer'], doubts } })).toContain(said);
  expect(describe(1, 0, { card: { doubts } })).toContain(': ready\n');
});

test('tells a standby from replicas that take requests', () => {
  expect(describe(0, 0, { stage: { standby: true } })).toContain(
    ': standby: it takes requests where no other replica can\n',
  );
  expect(describe(0, 0, { stage: { standby: true, state: 'loading' } })).toContain(': standby, not ready\n');
});

test('says how many replicas there are to be', () => {
  const status = { pid: 1, peer: card.peer, startedAtMs: 0, hasIdentityConflict: false, cards: [card] };
  const traffic = { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} };
  const scaling = [{ model: 'a'.repeat(64), name: 'tiny', replicas: { min: 1, max: 3 }, idleMs: 60_000, pinned: true }];
  expect(describeMesh({ ...status, traffic, scaling })).toMatch(
    /\ntiny: 1 to 3 replicas by demand, fewer after 1 minute without, pinned$/,
  );
});

test('tells of machines that gave wrong answers when their replica is gone', () => {
  const taken = { name: 'tiny', peers: ['12D3KooWgone'] };
  const doubts = [{ deployment: 'deployment-9', isOut: true, taken }];
  const text = describe(1, 0, { card: { roles: ['coordinator', 'peer'], doubts } });
  expect(text).toMatch(
    /: gave other answers with tiny than replicas like it, and was taken out; pull tiny again there/,
  );
  expect(describe(1, 0, { card: { doubts } })).not.toContain('taken out');
});
