import { methods, type Hardware } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Mesh } from '../mesh.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';

const hardware: Hardware = {
  platform: 'linux-x64',
  cpu: 'test',
  cores: 4,
  memoryBytes: 64,
  freeMemoryBytes: 32,
  backend: 'vulkan',
  gpus: [{ name: 'fake', memoryBytes: 24, freeMemoryBytes: 20 }],
};

let cluster: Cluster;
let [peer, coordinator]: Mesh[] = [];

beforeEach(async () => {
  cluster = new Cluster();
  peer = await cluster.add([], { roles: ['peer'] });
  peer.updateCard({ hardware });
  coordinator = await cluster.add([peer], { roles: ['coordinator'] });
  await untilCards(coordinator, (cards) => cards.some((card) => card.hardware !== undefined));
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

/** Free memory of the first GPU of the peer, as a member sees it. */
function freeBytes(mesh: Mesh | undefined): number | undefined {
  return mesh?.cards.snapshot().find((card) => card.peer === peer?.peerId)?.hardware?.gpus[0]?.freeMemoryBytes;
}

test('a member that is asked looks at its hardware, and its card is there with the answer', async () => {
  let free = 20;
  peer?.answerFreshCards(async () => {
    free -= 5;
    peer?.updateCard({ hardware: { ...hardware, gpus: [{ name: 'fake', memoryBytes: 24, freeMemoryBytes: free }] } });
  });
  await coordinator?.freshCard(peer?.peerId ?? '');
  expect(freeBytes(coordinator)).toBe(15);
  await coordinator?.freshCard(peer?.peerId ?? '');
  expect(freeBytes(coordinator)).toBe(10);
  // Nobody takes it for the card of another daemon with its identity.
  expect(peer?.hasIdentityConflict).toBe(false);
});

test('a member asks itself as it asks others', async () => {
  coordinator?.answerFreshCards(async () => coordinator?.updateCard({ hardware }));
  await coordinator?.freshCard(coordinator.peerId);
  expect(coordinator?.cards.snapshot()[0]?.hardware).toEqual(hardware);
});

test('an answer is judged as any card is', async () => {
  const foreign = await new Cluster().add([], { roles: ['peer'] });
  try {
    const answers: Record<string, unknown>[] = [
      { type: 'card', signature: new Uint8Array(64), certificate: foreign.membership.credentials.certificate },
      { type: 'card', signature: new Uint8Array(63) },
      { type: 'else' },
    ];
    for (const answer of answers) {
      using _handler = peer?.handle(methods.freshCard, async (stream) => await stream.write(answer));
      await expect(coordinator?.freshCard(peer?.peerId ?? '')).rejects.toMatchObject({ code: 'protocol-violation' });
      expect(freeBytes(coordinator)).toBe(20);
    }
  } finally {
    await foreign.stop();
  }
});

test('the card of another member is no answer', async () => {
  const other = await cluster.add(coordinator === undefined ? [] : [coordinator], { roles: ['peer'] });
  if (coordinator !== undefined) {
    await untilCards(coordinator, (cards) => cards.some((card) => card.peer === other.peerId));
  }
  using _answering = other.answerFreshCards(async () => other.updateCard({ hardware }));
  const stream = await coordinator?.open(other.peerId, methods.freshCard);
  await stream?.write({ type: 'fresh-card-request' });
  const frame = await stream?.read();
  using _passing = peer?.handle(methods.freshCard, async (answering) => {
    await answering.write(frame?.header as object, frame?.payload);
  });
  await expect(coordinator?.freshCard(peer?.peerId ?? '')).rejects.toMatchObject({
    code: 'protocol-violation',
    message: 'answered with the card of another member',
  });
});

test('who does not answer costs no more than the signal allows, and only coordinators may ask', async () => {
  await expect(coordinator?.freshCard(peer?.peerId ?? '')).rejects.toMatchObject({ code: 'not-running' });
  using _silent = peer?.handle(methods.freshCard, async (stream) => await stream.closed);
  const signal = AbortSignal.timeout(20);
  await expect(coordinator?.freshCard(peer?.peerId ?? '', { signal })).rejects.toMatchObject({
    code: 'deadline-exceeded',
  });
  const stranger = await cluster.add(peer === undefined ? [] : [peer], { roles: ['peer'] });
  await expect(stranger.freshCard(peer?.peerId ?? '')).rejects.toMatchObject({ code: 'not-permitted' });
});
