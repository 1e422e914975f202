import { chmod, mkdir, mkdtempDisposable, readdir, realpath, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadIdentity } from '@skein/mesh';
import { expect, test } from 'vitest';

import { defaultDataDirectory, findDataDirectory, openDataDirectory } from './data-directory.ts';

const environment = { home: '/home/ada', xdgDataHome: undefined, localAppData: undefined };

test.each([
  ['linux', {}, '/home/ada/.local/share/skein'],
  ['linux', { xdgDataHome: '/data' }, '/data/skein'],
  ['linux', { xdgDataHome: 'relative' }, '/home/ada/.local/share/skein'],
  ['darwin', {}, '/home/ada/Library/Application Support/skein'],
  ['win32', { localAppData: 'C:\\Users\\ada\\AppData\\Local' }, 'C:\\Users\\ada\\AppData\\Local\\skein'],
] as const)('keeps data where %s users expect it', (platform, more, expected) => {
  expect(defaultDataDirectory({ ...environment, platform, ...more })).toBe(expected);
});

test.skipIf(process.platform === 'win32')('closes a new directory to other users', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
  const path = await openDataDirectory(join(root.path, 'deep', 'data'));
  expect((await stat(path)).mode & 0o777).toBe(0o700);
});

test.skipIf(process.platform === 'win32')('refuses a used directory that others can enter', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
  await writeFile(join(root.path, 'notes.txt'), '');
  await chmod(root.path, 0o755);
  await expect(openDataDirectory(root.path)).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringContaining('chmod 700'),
  });
});

test.skipIf(process.platform === 'win32')('names the command that closes it as a shell takes it', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
  const directory = join(root.path, "Ada's data");
  await mkdir(directory);
  await writeFile(join(directory, 'notes.txt'), '');
  await chmod(directory, 0o755);
  const message = expect.stringContaining(`chmod 700 '${root.path}/Ada'\\''s data'`);
  await expect(openDataDirectory(directory)).rejects.toMatchObject({ message });
  await expect(findDataDirectory(directory)).rejects.toMatchObject({ message });
});

test.skipIf(process.platform !== 'linux')('gives up where no directory can be made', async () => {
  await expect(openDataDirectory('/proc/skein/data')).rejects.toMatchObject({ code: 'disk-failed' });
  expect(await findDataDirectory('/proc/skein/data')).toBe('/proc/skein/data');
});

test('makes nothing of what it only looks for', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
  await writeFile(join(root.path, 'file'), '');
  for (const name of ['missing', 'missing/too', 'file/below']) {
    expect(await findDataDirectory(join(root.path, name))).toBe(join(root.path, name));
  }
  expect(await readdir(root.path)).toEqual(['file']);
});

test.skipIf(process.platform === 'win32')('gives one path for all names of a directory', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
  await mkdir(join(root.path, 'data'));
  await symlink(join(root.path, 'data'), join(root.path, 'alias'));
  expect(await openDataDirectory(join(root.path, 'alias'))).toBe(await openDataDirectory(join(root.path, 'data')));
});

test.skipIf(process.platform === 'win32')(
  'uses a directory that others can enter where the keys in it are encrypted',
  async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
    await loadIdentity(root.path, { passphrase: 'four words' });
    await chmod(root.path, 0o777);
    expect(await findDataDirectory(root.path)).toBe(await openDataDirectory(root.path));
    expect((await stat(root.path)).mode & 0o777).toBe(0o777);
    await chmod(join(root.path, 'identity.key'), 0o666);
    expect(await loadIdentity(root.path, { passphrase: 'four words' })).toBeDefined();
  },
);

test.skipIf(process.platform === 'win32')('takes a passphrase for a promise to encrypt the keys', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-data-'));
  await writeFile(join(root.path, 'notes.txt'), '');
  await chmod(root.path, 0o777);
  expect(await openDataDirectory(root.path, { passphrase: 'four words' })).toBe(await realpath(root.path));
});
