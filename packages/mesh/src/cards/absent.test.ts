import { describe, expect, test } from 'vitest';

import { createIdentity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { Gathering } from './absent.ts';

const memory = { memoryBytes: 8, freeMemoryBytes: 4 };
const hardware = { platform: 'linux', cpu: 'test', cores: 4, ...memory, backend: 'cpu' as const, gpus: [] };
const coordinator = { roles: ['coordinator' as const] };

describe('a member that has started', () => {
  test('waits for those that it expects, for 30 seconds at most', () => {
    const gathering = new Gathering(1000);
    expect(gathering.isOn(1000, () => 1)).toBe(true);
    expect(gathering.isOn(30_999, () => 1)).toBe(true);
    expect(gathering.isOn(31_000, () => 1)).toBe(false);
  });

  test('waits no more once all were there, whoever goes then', () => {
    const gathering = new Gathering(0);
    expect(gathering.isOn(1, () => 2)).toBe(true);
    expect(gathering.isOn(2, () => 0)).toBe(false);
    expect(gathering.isOn(3, () => 2)).toBe(false);
  });
});

test('a mesh of one expects nobody', async () => {
  await using cluster = new Cluster();
  const member = await cluster.add([], coordinator);
  expect(member.absent()).toEqual({ lost: [], isGathering: false });
});

test('a member that was told of others is gathering until their cards say what they serve', async () => {
  await using cluster = new Cluster();
  const peer = await cluster.add();
  const member = await cluster.add([peer], coordinator);
  await untilCards(member, (cards) => cards.length === 2);
  expect(member.absent().isGathering).toBe(true);
  peer.updateCard({ hardware });
  await untilCards(member, (cards) => cards.some((card) => card.hardware !== undefined));
  expect(member.absent().isGathering).toBe(false);
  const peers = peer.addresses();
  await peer.stop();
  const late = await cluster.add([], { ...coordinator, peers });
  expect(late.absent()).toEqual({ lost: [], isGathering: true });
});

test('the machine with the authority expects the serving members that it let in', async () => {
  const authority = await Authority.ephemeral();
  const holder = await createIdentity();
  const membership = await authority.admit(holder.peerId, coordinator);
  const serving = await authority.enroll(['peer']);
  await authority.enroll(['client']);
  await using cluster = new Cluster(authority);
  const member = await cluster.add([], { identity: holder, membership, authority });
  expect(member.absent().isGathering).toBe(true);
  const peer = await cluster.add([member], serving);
  peer.updateCard({ hardware });
  await untilCards(member, (cards) => cards.some((card) => card.hardware !== undefined));
  expect(member.absent().isGathering).toBe(false);
});

test('remembers the card of a member that is lost, until that is back or put out', async () => {
  const authority = await Authority.ephemeral();
  await using cluster = new Cluster(authority);
  const member = await cluster.add([], { authority, ...(await authority.enroll(['coordinator'])) });
  const [ada, bob] = [await cluster.add([member]), await cluster.add([member])];
  await untilCards(member, (cards) => cards.length === 3);
  expect(member.absent().lost).toEqual([]);
  await Promise.all([ada.stop(), bob.stop()]);
  await untilCards(member, (cards) => cards.length === 1);
  const lost = () => member.absent().lost.map(({ peer }) => peer);
  expect(lost().toSorted()).toEqual([ada.peerId, bob.peerId].toSorted());
  await authority.revoke(bob.peerId);
  await expect.poll(lost).toEqual([ada.peerId]);
});
