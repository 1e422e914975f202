import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Mesh } from '@skein/mesh';
import {
  methods,
  parseHeader,
  plannedSpecSchema,
  stageEventSchema,
  toWireError,
  type Lease,
  type StageLoad,
  type StageReserve,
  type WireError,
} from '@skein/protocol';
import { expect, test } from 'vitest';

import { Cluster, untilCards } from '../../../mesh/src/testing/cluster.ts';
import { openStore } from '../store/index.ts';
import { createPeer } from './peer.ts';

/** Commands a peer to load a stage of a model that nobody has, and returns the reason why it does not. */
async function refusal(coordinator: Mesh, peer: string, lease?: Lease): Promise<WireError> {
  const load: StageLoad = {
    type: 'stage-load',
    deployment: 'deployment-1',
    ...(lease !== undefined && { lease }),
    manifest: 'ab'.repeat(32),
    name: 'none',
    stage: 0,
    stages: 1,
    block: { from: 0, to: 1 },
    sources: [],
    spec: plannedSpecSchema.parse({ model: 'ab'.repeat(32), contextTokens: 256, sequences: 1 }),
  };
  await using stream = await coordinator.open(peer, methods.stage);
  await stream.write(load);
  try {
    for (let frame = await stream.read(); frame !== undefined; frame = await stream.read()) {
      const event = parseHeader(stageEventSchema, frame.header);
      if (event.type === 'stage-failed') return event.error;
    }
  } catch (error) {
    return toWireError(error);
  }
  throw new Error('the peer ended the stream without a reason');
}

test('a peer takes stages from the coordinator with the greatest epoch that it has heard of, restarts included', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-lease-'));
  await using cluster = new Cluster();
  const member = await cluster.add([], { roles: ['peer'] });
  const [ada, bob] = await Promise.all([
    cluster.add([member], { roles: ['coordinator'] }),
    cluster.add([member], { roles: ['coordinator'] }),
  ]);
  const peerOptions = { mesh: member, store: await openStore(directory.path), directory: directory.path };
  const peer = createPeer({ ...peerOptions, backend: 'cpu', threads: 1 });
  await peer.start();
  const unreachable = { code: 'model-unreachable' };
  const stale = { code: 'stale-lease' };

  // Coordinators of before leases are obeyed until there is one.
  expect(await refusal(ada, member.peerId)).toMatchObject(unreachable);
  expect(await refusal(ada, member.peerId, { epoch: 1, holder: ada.peerId })).toMatchObject(unreachable);
  expect(await refusal(bob, member.peerId)).toMatchObject(stale);
  expect(await refusal(bob, member.peerId, { epoch: 1, holder: bob.peerId })).toMatchObject(stale);
  expect(await refusal(bob, member.peerId, { epoch: 1, holder: ada.peerId })).toMatchObject({ code: 'not-permitted' });
  await untilCards(ada, (cards) => cards.some(({ fence }) => fence?.holder === ada.peerId && fence.isHolderSeen));

  // A greater lease on a card is enough: its holder has commanded nothing yet.
  bob.updateCard({ lease: { epoch: 2, holder: bob.peerId, isHolderSeen: true } });
  await untilCards(ada, (cards) => cards.some(({ fence }) => fence?.holder === bob.peerId));
  const details = { epoch: 2, holder: bob.peerId };
  expect(await refusal(ada, member.peerId, { epoch: 1, holder: ada.peerId })).toMatchObject({ ...stale, details });

  await peer.stop();
  const restarted = createPeer({ ...peerOptions, backend: 'cpu', threads: 1 });
  // Only the disk tells it of the lease now.
  bob.updateCard({ lease: { epoch: 1, holder: ada.peerId, isHolderSeen: true } });
  await restarted.start();
  expect(await refusal(ada, member.peerId, { epoch: 1, holder: ada.peerId })).toMatchObject({ ...stale, details });
  expect(await refusal(bob, member.peerId, details)).toMatchObject(unreachable);

  await bob.stop();
  await untilCards(ada, (cards) => cards.some(({ fence }) => fence?.isHolderSeen === false));
  await restarted.stop();
});

test('memory that is reserved for one plan is not promised to another, until the plan or its time is over', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-lease-'));
  await using cluster = new Cluster();
  const member = await cluster.add([], { roles: ['peer'] });
  const coordinator = await cluster.add([member], { roles: ['coordinator'] });
  const store = await openStore(directory.path);
  const peer = createPeer({ mesh: member, store, directory: directory.path, backend: 'cpu', threads: 1 });
  await peer.start();
  await untilCards(coordinator, (cards) => cards.some(({ hardware }) => hardware !== undefined));
  const { hardware } = coordinator.cards.snapshot().find((card) => card.peer === member.peerId) ?? {};
  // Shares of what is free, with room for what other programs take or give back meanwhile.
  const share = (part: number) => Math.floor((hardware?.freeMemoryBytes ?? 0) * part);
  const reserve = async (deployment: string, wanted: number) => {
    const stream = await coordinator.open(member.peerId, methods.stage);
    const request: StageReserve = { type: 'stage-reserve', deployment, stage: 0, bytes: wanted };
    await stream.write(request);
    const answered = await stream.read();
    return { stream, event: parseHeader(stageEventSchema, answered?.header) };
  };
  await expect(reserve('deployment-0', share(3))).rejects.toMatchObject({
    code: 'does-not-fit',
  });
  const first = await reserve('deployment-1', share(0.4));
  expect(first.event).toEqual({ type: 'stage-reserved' });
  await expect(reserve('deployment-2', share(0.8))).rejects.toMatchObject({ code: 'does-not-fit' });
  await first.stream.end();
  // The peer ends its side once the memory is free again.
  expect(await first.stream.read()).toBeUndefined();
  expect((await reserve('deployment-2', share(0.4))).event).toEqual({ type: 'stage-reserved' });
  await peer.stop();
});
