import { mkdir, mkdtempDisposable, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { KnownMembers } from './known-members.ts';

const attic = { peer: '12D3KooWTestPeer0001', addresses: ['/ip4/192.168.1.20/tcp/7330/p2p/12D3KooWTestPeer0001'] };
const cellar = { peer: '12D3KooWTestPeer0002', addresses: ['/ip4/192.168.1.21/tcp/7330'] };

function unexpected(text: string): never {
  throw new Error(`unexpected warning: ${text}`);
}

test('remembers members beyond their presence, by their newest addresses', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  const members = await KnownMembers.load(directory.path, unexpected);
  expect(members.addresses).toEqual([]);
  await members.remember([attic, cellar]);
  const moved = { ...attic, addresses: ['/ip4/192.168.1.99/tcp/7330/p2p/12D3KooWTestPeer0001'] };
  await members.remember([moved, { peer: '12D3KooWTestPeer0003', addresses: [] }]);
  expect((await KnownMembers.load(directory.path, unexpected)).addresses).toEqual([
    ...moved.addresses,
    '/ip4/192.168.1.21/tcp/7330/p2p/12D3KooWTestPeer0002',
  ]);
  expect(await readdir(directory.path)).toEqual(['members.json']);
});

test.skipIf(process.platform === 'win32')('keeps them from other users', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  await (await KnownMembers.load(directory.path, unexpected)).remember([attic]);
  expect((await stat(join(directory.path, 'members.json'))).mode & 0o777).toBe(0o600);
});

test.each([
  ['{"members":[{', 'it is not JSON'],
  ['{"members":[{"peer":"12D3KooWTestPeer0001"}]}', 'members[0].addresses is missing: expected an array'],
])('starts over with the damaged file %s, of which nothing is lost', async (content, problem) => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  const path = join(directory.path, 'members.json');
  await writeFile(path, content);
  const warnings: string[] = [];
  const members = await KnownMembers.load(directory.path, (text) => warnings.push(text));
  expect(warnings).toEqual([expect.stringContaining(`${path} is damaged (${problem})`)]);
  expect(members.addresses).toEqual([]);
  // Looking changes nothing.
  expect(await readdir(directory.path)).toEqual(['members.json']);
  await members.remember([attic]);
  const [, aside = ''] = (await readdir(directory.path)).toSorted();
  expect(aside).toMatch(/^members\.json\.damaged-/);
  expect(await readFile(join(directory.path, aside), 'utf8')).toBe(content);
  expect((await KnownMembers.load(directory.path, unexpected)).addresses).toEqual(attic.addresses);
});

test('refuses a file that it can not read, and leaves it', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  const path = join(directory.path, 'members.json');
  await mkdir(path);
  await expect(KnownMembers.load(directory.path, unexpected)).rejects.toMatchObject({
    code: 'disk-failed',
    message: `${path} is not a file that Skein wrote; move it away`,
  });
  expect((await stat(path)).isDirectory()).toBe(true);
});

test('remembers at the next opportunity what it could not write', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-members-'));
  const members = await KnownMembers.load(join(directory.path, 'away'), unexpected);
  await expect(members.remember([attic])).rejects.toMatchObject({ code: 'disk-failed' });
  await mkdir(join(directory.path, 'away'));
  await members.remember([attic]);
  expect((await KnownMembers.load(join(directory.path, 'away'), unexpected)).addresses).toEqual(attic.addresses);
});
