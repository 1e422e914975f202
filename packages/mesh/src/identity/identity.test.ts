import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { loadIdentity } from './identity.ts';
import { loadOrCreateAuthority } from '../membership/membership-files.ts';

let directory: string;

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'skein-identity-')), 'home');
});
afterEach(async () => await rm(join(directory, '..'), { recursive: true }));

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

test('keeps an identity in a file that only its owner can read', async () => {
  const created = await loadIdentity(directory);
  expect((await loadIdentity(directory)).peerId).toBe(created.peerId);
  expect(await modeOf(directory)).toBe('700');
  expect(await modeOf(join(directory, 'identity.key'))).toBe('600');
  expect(await readdir(directory)).toEqual(['identity.key']);
});

test('gives all who start at once the same identity and the same authority', async () => {
  const identities = await Promise.all(Array.from({ length: 8 }, async () => await loadIdentity(directory)));
  expect(new Set(identities.map(({ peerId }) => peerId)).size).toBe(1);
  const authorities = await Promise.all(Array.from({ length: 8 }, async () => await loadOrCreateAuthority(directory)));
  expect(new Set(authorities.map(({ mesh }) => mesh)).size).toBe(1);
});

test.each([
  ['identity.key', 0o640, loadIdentity],
  ['identity.key', 0o604, loadIdentity],
  ['authority.key', 0o660, loadOrCreateAuthority],
])('refuses %s with mode %o and names the command that fixes it', async (name, mode, load) => {
  await load(directory);
  const path = join(directory, name);
  await chmod(path, mode);
  await expect(load(directory)).rejects.toThrow(`chmod 600 ${path}`);
});

test('refuses damaged files and leaves them as they are', async () => {
  await loadIdentity(directory);
  for (const [name, load] of [
    ['identity.key', loadIdentity],
    ['authority.key', loadOrCreateAuthority],
  ] as const) {
    const path = join(directory, name);
    await writeFile(path, 'damaged', { mode: 0o600 });
    await expect(load(directory)).rejects.toMatchObject({ code: 'disk-failed' });
    expect((await stat(path)).size).toBe('damaged'.length);
  }
});

test('refuses what is no file at once, with the way out', async (context) => {
  if (process.platform === 'win32') context.skip('Windows has no named pipes in directories');
  await loadIdentity(directory);
  const path = join(directory, 'identity.key');
  await rm(path);
  await promisify(execFile)('mkfifo', ['-m', '600', path]);
  await expect(loadIdentity(directory)).rejects.toThrow(`${path} is not a file that Skein wrote; move it away`);
  await rm(path);
  await mkdir(path);
  await expect(loadIdentity(directory)).rejects.toThrow(`${path} is not a file that Skein wrote; move it away`);
  await rmdir(path);
  await symlink(join(directory, 'nowhere'), path);
  await expect(loadIdentity(directory)).rejects.toThrow(
    `${path} is a link to a file that is not there; restore that file`,
  );
});
