import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SkeinError } from '@skein/protocol';
import { beforeEach, expect, test } from 'vitest';

import { createIdentity } from '../identity/identity.ts';
import type { AuthorityState } from './authority-state.ts';
import { Authority } from './authority.ts';
import { loadAuthority, loadMembership, loadOrCreateAuthority, saveMembership } from './membership-files.ts';
import { Membership } from './membership.ts';

const dayMs = 24 * 3_600_000;
let now: number;
let saved: AuthorityState[];
let authority: Authority;
let joiner: { readonly peer: string; readonly name: string };

beforeEach(async () => {
  now = Date.now();
  saved = [];
  authority = await Authority.open({
    key: await createIdentity(),
    save: async (state) => void saved.push(structuredClone(state)),
    now: () => now,
  });
  joiner = { peer: (await createIdentity()).peerId, name: 'attic' };
});

const refused = expect.objectContaining({ code: 'not-a-member' }) as Error;

test('gives a certificate for an invite, in the role and with the labels that it names', async () => {
  const secret = await authority.invite({ role: 'coordinator', labels: { room: 'attic' } });
  const credentials = await authority.redeem(secret, joiner);
  if (credentials === undefined) throw new Error('the join waits');
  const { certificate } = await Membership.open(authority.mesh, credentials, () => now);
  expect(certificate).toMatchObject({
    peer: joiner.peer,
    roles: ['coordinator', 'peer'],
    labels: { room: 'attic' },
  });
  expect(authority.members).toMatchObject([{ peer: joiner.peer, name: 'attic' }]);
});

test('keeps a hash of the secret, not the secret', async () => {
  const secret = await authority.invite();
  const text = JSON.stringify(saved);
  for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const) {
    expect(text).not.toContain(Buffer.from(secret).toString(encoding));
  }
});

test('refuses a secret that was used, has expired, or was never given, in the same words', async () => {
  const [used, expired] = [await authority.invite(), await authority.invite({ expiresInMs: 1000 })];
  await authority.redeem(used, joiner);
  now += 1001;
  const messages = new Set<string>();
  for (const secret of [used, expired, new Uint8Array(16)]) {
    const error = await authority.redeem(secret, joiner).catch((reason: unknown) => reason);
    expect(error).toEqual(refused);
    messages.add((error as SkeinError).message);
  }
  expect(messages.size).toBe(1);
});

test('lets in as many machines as an invite has uses, also when they ask at the same time', async () => {
  const secret = await authority.invite({ uses: 3 });
  const joins = Array.from({ length: 8 }, async () => {
    return await authority.redeem(secret, { peer: (await createIdentity()).peerId, name: '' });
  });
  const results = await Promise.allSettled(joins);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
});

test('lets a join wait until it is approved, and nobody else take its place', async () => {
  const secret = await authority.invite({ approve: true });
  expect(await authority.redeem(secret, joiner)).toBeUndefined();
  expect(await authority.redeem(secret, joiner)).toBeUndefined();
  expect(authority.pending).toMatchObject([{ peer: joiner.peer }]);
  await authority.approve(joiner.peer);
  await expect(authority.redeem(secret, { ...joiner, peer: authority.mesh })).rejects.toEqual(refused);
  expect(await authority.redeem(secret, joiner)).toBeDefined();
  expect(authority.pending).toEqual([]);
});

test('ends a membership for good: what was issued before is refused, what a new invite gives is not', async () => {
  const first = await authority.admit(joiner.peer, { roles: ['peer'] });
  const client = (await createIdentity()).peerId;
  const beside = await authority.admitClient(client, joiner.peer);
  const { membership: other } = await authority.enroll(['peer']);
  await other.verify(beside.certificate, client);
  await authority.revoke(joiner.peer);
  await other.adopt((await authority.enroll(['peer'])).membership.credentials.revocations);
  await expect(other.verify(first.credentials.certificate, joiner.peer)).rejects.toEqual(refused);
  await expect(other.verify(beside.certificate, client)).rejects.toEqual(refused);
  await expect(authority.renew(joiner.peer)).rejects.toEqual(refused);
  const again = await authority.redeem(await authority.invite(), joiner);
  if (again === undefined) throw new Error('the join waits');
  await other.verify(again.certificate, joiner.peer);
});

test('lists nobody as revoked whose certificates have expired by themselves', async () => {
  await authority.admit(joiner.peer, { roles: ['peer'] });
  const client = (await createIdentity()).peerId;
  await authority.admitClient(client, joiner.peer);
  await authority.revoke(joiner.peer);
  expect(saved.at(-1)?.revoked.map(({ peer }) => peer)).toEqual([joiner.peer, client]);
  now += dayMs;
  const another = (await createIdentity()).peerId;
  await authority.admit(another, { roles: ['peer'] });
  await authority.revoke(another);
  expect(saved.at(-1)?.revoked.map(({ peer }) => peer)).toEqual([joiner.peer, another]);
});

test('restored from a backup, learns from its own newer list and forgets nothing of it', async () => {
  const key = await createIdentity();
  const states: AuthorityState[] = [];
  const save = async (state: AuthorityState): Promise<void> => void states.push(structuredClone(state));
  const lost = await Authority.open({ key, save, now: () => now });
  const [backup] = states;
  const late = await lost.enroll(['peer']);
  await lost.revoke(late.identity.peerId);
  const { membership } = await lost.enroll(['peer']);
  now += 1000;
  const restored = await Authority.open({
    key,
    state: structuredClone(backup as AuthorityState),
    save,
    now: () => now,
  });
  await restored.absorb(membership.revocations);
  const other = await restored.enroll(['peer']);
  await restored.revoke(other.identity.peerId);
  const newest = (await restored.enroll(['peer'])).membership;
  expect(newest.revocations.version).toBeGreaterThan(membership.revocations.version);
  await expect(newest.verify(late.membership.credentials.certificate, late.identity.peerId)).rejects.toEqual(refused);
});

test('refuses certificates of the old epoch after the grace period, and renews in time', async () => {
  const { identity, membership } = await authority.enroll(['peer']);
  const { membership: other } = await authority.enroll(['peer']);
  await authority.rotate(dayMs);
  const { revocations } = await authority.renew(other.certificate.peer);
  await other.adopt(revocations);
  await membership.adopt(revocations);
  const old = membership.credentials.certificate;
  await other.verify(old, identity.peerId);
  expect(membership.needsRenewal).toBe(true);
  now += dayMs;
  await expect(other.verify(old, identity.peerId)).rejects.toEqual(refused);
  await membership.renew((await authority.renew(identity.peerId)).certificate);
  expect(membership.needsRenewal).toBe(false);
  await other.verify(membership.credentials.certificate, identity.peerId);
});

test('asks for a new certificate long before the old one expires', async () => {
  const { membership } = await authority.enroll(['peer']);
  expect(membership.needsRenewal).toBe(false);
  now += 31 * dayMs;
  expect(membership.needsRenewal).toBe(true);
  membership.assertGood(membership.certificate);
});

test('takes no revocation list but a newer one of its own authority', async () => {
  const { membership } = await authority.enroll(['peer']);
  const stale = membership.credentials.revocations;
  await authority.rotate();
  const newer = (await authority.renew(membership.certificate.peer)).revocations;
  expect(await membership.adopt(newer)).toBe(true);
  expect(await membership.adopt(stale)).toBe(false);
  const { membership: foreign } = await (await Authority.ephemeral()).enroll(['peer']);
  await expect(membership.adopt(foreign.credentials.revocations)).rejects.toMatchObject({ code: 'protocol-violation' });
  const changed = { ...newer, bytes: newer.bytes.map((byte, index) => (index === 9 ? byte ^ 1 : byte)) };
  await expect(membership.adopt(changed)).rejects.toMatchObject({ code: 'protocol-violation' });
});

test('does nothing that it could not keep', async () => {
  let isFull = false;
  const frail = await Authority.open({
    key: await createIdentity(),
    save: async () => {
      if (isFull) throw new SkeinError('disk-failed', 'the disk is full');
    },
  });
  const secret = await frail.invite();
  isFull = true;
  await expect(frail.redeem(secret, joiner)).rejects.toMatchObject({ code: 'disk-failed' });
  isFull = false;
  expect(await frail.redeem(secret, joiner)).toBeDefined();
});

test('survives a restart, with members, invites and what is revoked', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-authority-'));
  const first = await loadOrCreateAuthority(directory.path);
  const secret = await first.invite();
  await first.admit(joiner.peer, { roles: ['peer'] });
  await first.revoke(joiner.peer);
  const again = await loadAuthority(directory.path);
  expect(again?.mesh).toBe(first.mesh);
  await expect(again?.renew(joiner.peer)).rejects.toEqual(refused);
  expect(await again?.redeem(secret, { ...joiner, peer: first.mesh })).toBeDefined();
});

test('keeps a membership in a file of its owner, and a directory to one mesh', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-membership-'));
  const { membership } = await authority.enroll(['peer']);
  await saveMembership(directory.path, membership);
  expect((await loadMembership(directory.path))?.certificate).toEqual(membership.certificate);
  const { membership: foreign } = await (await Authority.ephemeral()).enroll(['peer']);
  await expect(saveMembership(directory.path, foreign)).rejects.toMatchObject({ code: 'invalid-request' });
  expect(await readFile(join(directory.path, 'membership.json'), 'utf8')).toContain(authority.mesh);
});
