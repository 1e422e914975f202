import { methods, SkeinError, type Invite } from '@skein/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { createIdentity, type Identity } from '../identity/identity.ts';
import type { Mesh } from '../mesh.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { askToJoin } from './ask-to-join.ts';
import type { Authority } from './authority.ts';
import type { Denial } from './denials.ts';
import type { Membership } from './membership.ts';

const never = new AbortController().signal;
let cluster: Cluster;
let authority: Authority;
let home: Mesh;
let denials: string[];

beforeEach(async () => {
  cluster = new Cluster();
  authority = await cluster.authority();
  denials = [];
  const onDenial = ({ reason }: Denial): void => {
    denials.push(reason);
    throw new Error('broken observer');
  };
  home = await cluster.add([], { authority, roles: ['coordinator'], onDenial });
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

async function inviteOf(secret?: Uint8Array): Promise<Invite> {
  return {
    mesh: authority.mesh,
    secret: secret ?? (await authority.invite()),
    peer: home.peerId,
    addresses: [...home.addresses()],
  };
}

async function joinWith(invite: Invite, identity?: Identity): Promise<Membership> {
  return await askToJoin({ identity: identity ?? (await createIdentity()), invite, name: 'attic', signal: never });
}

test('exchanges an invite for a certificate that all members accept', async () => {
  const identity = await createIdentity();
  const membership = await joinWith(await inviteOf(), identity);
  const joined = await cluster.add([home], { identity, membership });
  const other = await cluster.add([joined]);
  await untilCards(other, (cards) => cards.length === 3);
  expect(other.cards.snapshot().map(({ peer }) => peer)).toContain(identity.peerId);
});

test('refuses a wrong secret, and one that was used, also where the observer of denials throws', async () => {
  const invite = await inviteOf();
  await joinWith(invite);
  for (const bad of [invite, await inviteOf(new Uint8Array(16))]) {
    await expect(joinWith(bad)).rejects.toMatchObject({ code: 'not-a-member' });
  }
  expect(authority.members).toHaveLength(2);
  expect(denials).toEqual(['not-a-member']);
});

test('does not let one host try many secrets', async () => {
  const attempts = Array.from({ length: 12 }, async () => await joinWith(await inviteOf(new Uint8Array(16))));
  const codes = (await Promise.allSettled(attempts)).map((result) => {
    return result.status === 'rejected' ? (result.reason as { code: string }).code : 'joined';
  });
  expect(codes.filter((code) => code === 'overloaded')).toHaveLength(2);
  expect(codes.filter((code) => code === 'not-a-member')).toHaveLength(10);
});

test('asks nobody but the machine that the invite names', async () => {
  const impostor = await cluster.add([]);
  const invite = {
    ...(await inviteOf()),
    addresses: [...impostor.addresses()].map((address) => address.split('/p2p/')[0] ?? ''),
  };
  await expect(joinWith(invite)).rejects.toMatchObject({ code: 'peer-lost' });
});

test('waits until the join has been approved', async () => {
  const invite = await inviteOf(await authority.invite({ approve: true }));
  const identity = await createIdentity();
  const waiting = Promise.withResolvers<void>();
  const controller = new AbortController();
  const joining = askToJoin({ identity, invite, name: '', signal: controller.signal, onPending: waiting.resolve });
  joining.catch(() => undefined);
  await waiting.promise;
  expect(authority.pending.map(({ peer }) => peer)).toEqual([identity.peerId]);
  controller.abort();
  await expect(joining).rejects.toMatchObject({ code: 'aborted' });
  await authority.approve(identity.peerId);
  expect((await joinWith(invite, identity)).certificate.peer).toBe(identity.peerId);
});

test('goes on waiting where too many ask from the same address meanwhile', async () => {
  const secret = await authority.invite();
  const answers: (() => Promise<object>)[] = [
    async () => ({ type: 'join-pending' }),
    async () => Promise.reject(new SkeinError('overloaded', 'too many')),
    async () => ({ type: 'join-granted', ...(await authority.redeem(secret, { peer: identity.peerId, name: '' })) }),
  ];
  const identity = await createIdentity();
  const other = await cluster.add([]);
  other.handle(methods.join, async (stream) => {
    await stream.read();
    await stream.write((await answers.shift()?.()) ?? {});
  });
  const invite = { ...(await inviteOf(secret)), peer: other.peerId, addresses: [...other.addresses()] };
  expect((await joinWith(invite, identity)).certificate.peer).toBe(identity.peerId);
  expect(answers).toEqual([]);
});

test('renews the certificates of members that are there when an epoch begins', async () => {
  const other = await cluster.add([home]);
  await untilCards(other, (cards) => cards.length === 2);
  await authority.rotate();
  await vi.waitFor(() => expect(other.membership.certificate.epoch).toBe(2), { timeout: 10_000 });
  expect(home.membership.certificate.epoch).toBe(2);
});

test('turns to the machine that the authority names, whoever else says that it is the one', async () => {
  const liar = await cluster.add([home], { roles: ['coordinator'] });
  liar.updateCard({ authority: true });
  const asked: string[] = [];
  for (const method of [methods.admitClient, methods.leave, methods.renew]) {
    liar.handle(method, async (_, { peerId }) => void asked.push(peerId));
  }
  const honest = await cluster.add([liar, home]);
  await untilCards(honest, (cards) => cards.filter((card) => card.authority === true).length === 2);
  await vi.waitFor(() => expect(honest.membership.revocations.holder).toBe(home.peerId));
  await honest.admitClient((await createIdentity()).peerId);
  await authority.rotate();
  await vi.waitFor(() => expect(honest.membership.certificate.epoch).toBe(2), { timeout: 10_000 });
  await honest.leave();
  await vi.waitFor(() => expect(authority.members.find(({ peer }) => peer === honest.peerId)?.ended).toBe('left'));
  expect(asked).toEqual([]);
});

test('renews no certificate over and over', async () => {
  const other = await cluster.add([home]);
  const renew = async (): Promise<unknown> => {
    const stream = await other.open(home.peerId, methods.renew);
    await stream.write({ type: 'renew-request' });
    return (await stream.read())?.header;
  };
  expect(await renew()).toMatchObject({ type: 'credentials' });
  await expect(renew()).rejects.toMatchObject({ code: 'overloaded' });
});

test('takes a member off that leaves', async () => {
  const other = await cluster.add([home]);
  await untilCards(other, (cards) => cards.some((card) => card.authority === true));
  await other.leave();
  await vi.waitFor(() => expect(home.connectedPeers()).toEqual([]));
  await expect(home.leave()).rejects.toMatchObject({ code: 'invalid-request' });
});

test('admits a client beside a member, and not one beside a client', async () => {
  const peer = await cluster.add([home]);
  await untilCards(peer, (cards) => cards.some((card) => card.authority === true));
  const identity = await createIdentity();
  const { certificate } = await peer.admitClient(identity.peerId);
  expect((await home.membership.verify(certificate, identity.peerId)).roles).toEqual(['client']);
  const client = await cluster.add([home], { roles: ['client'] });
  await untilCards(client, (cards) => cards.some((card) => card.authority === true));
  await expect(client.admitClient(identity.peerId)).rejects.toMatchObject({ code: 'not-permitted' });
});

test('answers no member that asks one without the authority', async () => {
  const peer = await cluster.add([home]);
  await untilCards(peer, (cards) => cards.length === 2);
  const stream = await home.open(peer.peerId, methods.renew);
  await stream.write({ type: 'renew-request' });
  await expect(stream.read()).rejects.toMatchObject({ code: 'not-running' });
});
