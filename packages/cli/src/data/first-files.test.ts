import { mkdtempDisposable, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { missingFirstFiles, removeFirstFiles } from './first-files.ts';

test('removes what a start has made, and nothing that was there before', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-first-'));
  await writeFile(join(directory.path, 'identity.key'), '');
  await mkdir(join(directory.path, 'models'));
  const missing = await missingFirstFiles(directory.path);
  await writeFile(join(directory.path, 'membership.json'), '');
  await removeFirstFiles(missing);
  expect((await readdir(directory.path)).toSorted()).toEqual(['identity.key', 'models']);
});

test.skipIf(process.platform === 'win32')('leaves a file alone that is there and can not be read', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-first-'));
  // A key on a disk that is not mounted now.
  await symlink(join(directory.path, 'not mounted', 'identity.key'), join(directory.path, 'identity.key'));
  await removeFirstFiles(await missingFirstFiles(directory.path));
  expect(await readdir(directory.path)).toEqual(['identity.key']);
});

test('throws where it can not find out what is there', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-first-'));
  const file = join(directory.path, 'file');
  await writeFile(file, '');
  await expect(missingFirstFiles(file)).rejects.toMatchObject({ code: 'disk-failed' });
});
