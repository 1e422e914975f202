import { mkdtempDisposable, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { KnownMembers } from './known-members.ts';

const attic = { peer: '12D3KooWTestPeer0001', addresses: ['/ip4/192.168.1.20/tcp/7330/p2p/12D3KooWTestPeer0001'] };
const cellar = { peer: '12D3KooWTestPeer0002', addresses: ['/ip4/192.168.1.21/tcp/7330'] };

test('remembers members beyond their presence, by their newest addresses', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  const members = await KnownMembers.load(directory.path);
  expect(members.addresses).toEqual([]);
  await members.remember([attic, cellar]);
  const moved = { ...attic, addresses: ['/ip4/192.168.1.99/tcp/7330/p2p/12D3KooWTestPeer0001'] };
  await members.remember([moved, { peer: '12D3KooWTestPeer0003', addresses: [] }]);
  expect((await KnownMembers.load(directory.path)).addresses).toEqual([
    ...moved.addresses,
    '/ip4/192.168.1.21/tcp/7330/p2p/12D3KooWTestPeer0002',
  ]);
  expect(await readdir(directory.path)).toEqual(['members.json']);
});

test.skipIf(process.platform === 'win32')('keeps them from other users', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  await (await KnownMembers.load(directory.path)).remember([attic]);
  expect((await stat(join(directory.path, 'members.json'))).mode & 0o777).toBe(0o600);
});

test('starts over with a damaged file', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  await writeFile(join(directory.path, 'members.json'), '{"members":[{');
  const members = await KnownMembers.load(directory.path);
  await members.remember([attic]);
  expect((await KnownMembers.load(directory.path)).addresses).toEqual(attic.addresses);
});
