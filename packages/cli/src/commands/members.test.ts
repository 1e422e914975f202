import { createIdentity } from '@skein/mesh';
import { shortPeer, type MemberDescription } from '@skein/protocol';
import { beforeAll, expect, test } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';
import { startTestDaemon } from '../testing/test-daemon.ts';

/** By name. */
const peers = { attic: '', cellar: '', oldCellar: '', hall: '' };

beforeAll(async () => {
  for (const key of ['attic', 'cellar', 'oldCellar', 'hall'] as const) peers[key] = (await createIdentity()).peerId;
});

function member(peer: string, name: string, state: MemberDescription['state']): MemberDescription {
  return { peer, name, state, roles: ['peer'], labels: {}, issuedAt: 0, expiresAt: 0 };
}

/** Runs a command where the authority knows a few machines; returns whom it was told to revoke and approve. */
async function run(...commandLine: readonly string[]) {
  const told: string[] = [];
  await using daemon = await startTestDaemon({
    members: () => ({
      mesh: peers.attic,
      members: [
        member(peers.attic, 'attic', 'member'),
        member(peers.oldCellar, 'cellar', 'revoked'),
        member(peers.cellar, 'cellar', 'member'),
        member(peers.hall, 'hall', 'waiting'),
      ],
    }),
    revoke: ({ peer }) => {
      told.push(`revoke ${peer}`);
      return {};
    },
    approve: ({ peer }) => {
      told.push(`approve ${peer}`);
      return {};
    },
  });
  return { ...(await runInProcess(commandLine, { data: daemon.directory })), told };
}

test('revokes by name, by what `skein status` prints, and by the whole id', async () => {
  for (const text of ['attic', `…${shortPeer(peers.attic)}`, shortPeer(peers.attic), peers.attic]) {
    expect((await run('revoke', text)).told).toEqual([`revoke ${peers.attic}`]);
  }
});

test('revokes the machine that is a member where a revoked one had the same name', async () => {
  expect((await run('revoke', 'cellar')).told).toEqual([`revoke ${peers.cellar}`]);
  expect((await run('revoke', peers.oldCellar)).told).toEqual([`revoke ${peers.oldCellar}`]);
});

test('lists those that a text stands for when there are several, and revokes none', async () => {
  const { code, stderr, told } = await run('revoke', '12D3KooW');
  expect([code, told]).toEqual([1, []]);
  for (const peer of [peers.attic, peers.cellar, peers.hall]) expect(stderr).toContain(peer);
});

test('approves by name who waits, and nobody else', async () => {
  expect((await run('members', 'approve', 'hall')).told).toEqual([`approve ${peers.hall}`]);
  const { code, stderr } = await run('members', 'approve', 'garage');
  expect([code, stderr]).toEqual([1, expect.stringContaining('skein members')]);
});
