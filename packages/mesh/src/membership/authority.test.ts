import { mkdir, mkdtempDisposable, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger, SkeinError } from '@skein/protocol';
import { beforeEach, expect, test } from 'vitest';

import { createIdentity } from '../identity/identity.ts';
import type { AuthorityState } from './authority-state.ts';
import { Authority } from './authority.ts';
import {
  exportAuthority,
  importAuthority,
  loadAuthority,
  loadMembership,
  loadOrCreateAuthority,
  saveMembership,
} from './membership-files.ts';
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
  const { certificate } = await Membership.open(authority.mesh, credentials, { now: () => now });
  expect(certificate).toMatchObject({
    peer: joiner.peer,
    roles: ['coordinator', 'peer'],
    labels: { room: 'attic' },
  });
  expect(authority.members).toMatchObject([{ peer: joiner.peer, name: 'attic' }]);
});

test('tells every observer, and does what it was asked, whatever one of them throws', async () => {
  const told: string[] = [];
  const broken = () => {
    throw new Error('broken observer');
  };
  authority.onList(broken, silentLogger);
  authority.onList(() => told.push('list'), silentLogger);
  authority.onEvent(broken, silentLogger);
  authority.onEvent(({ type }) => told.push(type), silentLogger);
  await authority.redeem(await authority.invite(), joiner);
  await authority.revoke(joiner.peer);
  expect(told).toEqual(['join', 'list', 'revocation']);

  const { membership } = await authority.enroll(['peer']);
  membership.onChange(broken, silentLogger);
  membership.onChange(() => told.push('membership'), silentLogger);
  await membership.renew((await authority.renew(membership.certificate.peer)).certificate);
  expect(told.at(-1)).toBe('membership');
});

test('has room for new members once those of before can come back no more', async () => {
  await authority.admit(joiner.peer, { roles: ['peer'] });
  const state = saved.at(-1);
  const [member] = state?.members ?? [];
  if (state === undefined || member === undefined) throw new Error('nothing was saved');
  const members = Array.from({ length: 1024 }, (_, index) => ({ ...member, peer: `12D3KooWTestPeer${1000 + index}` }));
  const full = await Authority.open({
    key: await createIdentity(),
    state: { ...state, members },
    save: async () => undefined,
    now: () => now,
  });
  await expect(full.admit(joiner.peer, { roles: ['peer'] })).rejects.toMatchObject({ code: 'overloaded' });
  now += 91 * dayMs;
  await full.admit(joiner.peer, { roles: ['peer'] });
  expect(full.members.map(({ peer }) => peer)).toEqual([joiner.peer]);
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

test('closes the door behind whom it has put out: no invite that it came with, or waits with, is good any more', async () => {
  const several = await authority.invite({ uses: 3 });
  await authority.redeem(several, joiner);
  const waitsAsWell = await authority.invite({ approve: true, role: 'coordinator', uses: 2 });
  expect(await authority.redeem(waitsAsWell, joiner)).toBeUndefined();
  await authority.approve(joiner.peer);
  await authority.revoke(joiner.peer);
  const stranger = { peer: (await createIdentity()).peerId, name: 'a new name' };
  for (const secret of [several, waitsAsWell]) {
    for (const asking of [joiner, stranger]) await expect(authority.redeem(secret, asking)).rejects.toEqual(refused);
  }
  expect(authority.pending).toEqual([]);
  // An invite of several uses outlives a member that leaves by itself.
  const open = await authority.invite({ uses: 2 });
  await authority.redeem(open, joiner);
  await authority.revoke(joiner.peer, 'left');
  expect(await authority.redeem(open, stranger)).toBeDefined();
});

test('turns down a join that waits, and lets none wait for ever', async () => {
  const secret = await authority.invite({ approve: true, uses: 3, expiresInMs: 30 * dayMs });
  await authority.redeem(secret, joiner);
  await authority.revoke(joiner.peer);
  expect(authority.pending).toEqual([]);
  const patient = await authority.invite({ approve: true, uses: 3, expiresInMs: 30 * dayMs });
  await authority.redeem(patient, joiner);
  now += 2 * dayMs;
  expect(authority.pending).toEqual([]);
  await expect(authority.approve(joiner.peer)).rejects.toMatchObject({ code: 'not-found' });
  expect(await authority.redeem(patient, joiner)).toBeUndefined();
  expect(authority.pending).toHaveLength(1);
});

test('keeps the list short where clients of an hour come and leave without end', async () => {
  const member = (await authority.enroll(['peer'])).identity.peerId;
  const victim = (await authority.enroll(['peer'])).identity.peerId;
  for (let hour = 0; hour < 3; hour += 1, now += 3_600_001) {
    for (let count = 0; count < 32; count += 1) {
      const client = (await createIdentity()).peerId;
      await authority.admitClient(client, member);
      await authority.revoke(client, 'left');
    }
  }
  await authority.revoke(victim);
  expect(saved.at(-1)?.revoked.map(({ peer }) => peer)).toEqual([victim]);
});

test('clears the list with the epoch, once the old one is over, and still knows who was put out', async () => {
  await authority.admit(joiner.peer, { roles: ['peer'] });
  await authority.revoke(joiner.peer);
  now += 1000;
  await expect(authority.rotate(59_000)).rejects.toMatchObject({ code: 'invalid-request' });
  await authority.rotate(60_000);
  const other = (await authority.enroll(['peer'])).identity.peerId;
  await authority.revoke(other);
  expect(saved.at(-1)?.revoked.map(({ peer }) => peer)).toEqual([joiner.peer, other]);
  now += 60_000;
  const third = (await authority.enroll(['peer'])).identity.peerId;
  await authority.revoke(third);
  expect(saved.at(-1)?.revoked.map(({ peer }) => peer)).toEqual([other, third]);
  await expect(authority.renew(joiner.peer)).rejects.toEqual(refused);
  expect(authority.members.filter((member) => authority.hasEnded(member)).map(({ peer }) => peer)).toEqual(
    expect.arrayContaining([joiner.peer, other, third]),
  );
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

test('an import that is broken off leaves no authority behind, and can be done again', async () => {
  await using from = await mkdtempDisposable(join(tmpdir(), 'skein-export-'));
  await using to = await mkdtempDisposable(join(tmpdir(), 'skein-import-'));
  const original = await loadOrCreateAuthority(from.path);
  await original.admit(joiner.peer, { roles: ['peer'] });
  await original.revoke(joiner.peer);
  const words = { passphrase: undefined, filePassphrase: 'correct horse' };
  const file = await exportAuthority(from.path, words);
  // Stands for a full disk, or the end of the process, in between.
  const inTheWay = join(to.path, 'authority.json');
  await mkdir(inTheWay);
  await expect(importAuthority(to.path, file, words)).rejects.toMatchObject({ code: 'disk-failed' });
  await rmdir(inTheWay);
  expect(await loadAuthority(to.path)).toBeUndefined();
  await importAuthority(to.path, file, words);
  await expect(importAuthority(to.path, file, words)).rejects.toMatchObject({ code: 'already-running' });
  const moved = await loadAuthority(to.path);
  expect(moved?.members.map((member) => moved.hasEnded(member))).toEqual([true]);
});

test('is no authority without what it knows: a member that lost that file is told', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-authority-'));
  const first = await loadOrCreateAuthority(directory.path);
  await saveMembership(directory.path, await first.admit(joiner.peer, { roles: ['peer'] }));
  await rm(join(directory.path, 'authority.json'));
  await expect(loadAuthority(directory.path)).rejects.toThrow(/backup/);
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
