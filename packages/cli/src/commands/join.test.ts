import { mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  Authority,
  createIdentity,
  createMesh,
  loadIdentity,
  loadOrCreateAuthority,
  saveMembership,
  type Mesh,
} from '@skein/mesh';
import { encodeInvite } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { runInProcess, type Outcome } from '../testing/run-in-process.ts';

let home: Mesh;
let invite: string;

/** A member to join, on this machine. */
beforeEach(async () => {
  const authority = await Authority.ephemeral();
  const enrolled = await authority.enroll(['coordinator']);
  home = await createMesh({ ...enrolled, authority, roles: ['coordinator'], mdns: false });
  await home.start();
  invite = encodeInvite({
    mesh: authority.mesh,
    secret: await authority.invite(),
    peer: home.peerId,
    addresses: [...home.addresses()],
  });
});
afterEach(async () => await home.stop());

async function temporaryData() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-join-'));
}

/** Joins, and is interrupted once it says that it has. */
async function joinOnce(data: string, words: readonly string[], input?: string): Promise<Outcome> {
  const controller = new AbortController();
  const { signal } = controller;
  const quiet = ['--no-mdns', '--backend', 'cpu', '--name', 'attic'];
  return await runInProcess(['join', ...words, ...quiet], {
    data,
    signal,
    ...(input !== undefined && { input }),
    onPrint: () => controller.abort(),
  });
}

test('joins with the whole line that was printed, and again without it', async () => {
  await using data = await temporaryData();
  for (const words of [[`skein join ${invite}`], []]) {
    const { stdout, stderr } = await joinOnce(data.path, words);
    expect(stderr).toBe('');
    expect(stdout).toContain('Joined');
  }
}, 30_000);

test('tells a machine whose clock is ahead so, whatever became of its invite', async () => {
  await using data = await temporaryData();
  const { peerId } = await loadIdentity(data.path);
  const now = Date.now();
  const authority = await Authority.open({
    key: await createIdentity(),
    save: async () => undefined,
    now: () => now - 100 * 86_400_000,
  });
  await saveMembership(data.path, await authority.admit(peerId, { roles: ['peer'] }));
  const path = join(data.path, 'membership.json');
  const stored = JSON.parse(await readFile(path, 'utf8')) as object;
  // It came just now, by the clock of this machine.
  await writeFile(path, JSON.stringify({ ...stored, receivedAt: now }), { mode: 0o600 });
  const addresses = [...home.addresses()];
  const used = encodeInvite({ mesh: authority.mesh, secret: new Uint8Array(16), peer: home.peerId, addresses });
  for (const words of [[used], ['--peer', home.addresses()[0] ?? '']]) {
    const { code, stderr } = await joinOnce(data.path, words);
    expect(code).toBe(1);
    expect(stderr).toContain(
      'the clock of this machine is 100 days ahead of that of the machine that has the authority',
    );
    expect(stderr).toContain('no new invite is needed');
  }
}, 30_000);

test.each([
  ['the whole line', (code: string) => `skein join ${code}\n`],
  ['the code alone', (code: string) => code],
])(
  'takes %s from standard input',
  async (_, inputOf) => {
    await using data = await temporaryData();
    const { stdout, stderr } = await joinOnce(data.path, ['-'], inputOf(invite));
    expect(stderr).toBe('');
    expect(stdout).toContain('Joined');
  },
  30_000,
);

test.each([
  ['', 'standard input held no invite'],
  ['skein join\n', 'standard input held no invite'],
  ['skein1-AAAA skein1-BBBB', 'one word'],
])('refuses %j on standard input', async (input, reason) => {
  await using data = await temporaryData();
  const { stderr } = await runInProcess(['join', '-'], { data: data.path, input });
  expect(stderr).toContain(reason);
  expect(stderr).not.toContain('AAAA');
  expect(await readdir(data.path)).toEqual([]);
});

test.each([
  ['and leaves it', false, /belongs to another mesh.*skein leave.*--data.*delete/],
  ['and moves its authority', true, /authority of another mesh.*skein authority export.*--remove.*--data.*delete/],
])('says how a directory gets out of another mesh %s', async (_, holdsAuthority, way) => {
  await using data = await temporaryData();
  const { peerId } = await loadIdentity(data.path);
  const authority = holdsAuthority ? await loadOrCreateAuthority(data.path) : await Authority.ephemeral();
  await saveMembership(data.path, await authority.admit(peerId, { roles: ['peer'], name: 'attic' }));
  const { code, stderr } = await runInProcess(['join', invite, '--no-mdns'], { data: data.path });
  expect(code).toBe(1);
  expect(stderr).toMatch(way);
  expect(stderr).toContain(data.path);
});

test('binds the directory to no mesh of which no member was reached', async () => {
  await using data = await temporaryData();
  const { code } = await runInProcess(['join', invite, '--no-mdns'], { data: data.path, signal: AbortSignal.abort() });
  expect(code).toBe(1);
  expect(await readdir(data.path)).not.toContain('membership.json');
});
