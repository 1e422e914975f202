import { mkdir, mkdtempDisposable, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { isAnything, readFileIfAny, setAside, statIfAny } from './read-file.ts';

const failed = expect.objectContaining({ code: 'disk-failed' }) as Error;

test('takes a file that is not there, and nothing else, for none', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-files-'));
  const path = join(directory.path, 'file.json');
  expect(await readFileIfAny(path, { maxBytes: 10 })).toBeUndefined();
  expect(await statIfAny(path)).toBeUndefined();
  expect(await isAnything(path)).toBe(false);

  await writeFile(path, 'content');
  expect(Buffer.from((await readFileIfAny(path, { maxBytes: 10 })) ?? []).toString()).toBe('content');
  await expect(readFileIfAny(path, { maxBytes: 6 })).rejects.toThrow(`${path} is not a file that Skein wrote`);
  const below = join(path, 'file.json');
  for (const look of [async () => await readFileIfAny(below, { maxBytes: 10 }), statIfAny, isAnything]) {
    await expect(look(below)).rejects.toThrow(`can't read ${below} (ENOTDIR); check its owner, its mode and the disk`);
  }
  await mkdir(join(directory.path, 'a directory'));
  await expect(readFileIfAny(join(directory.path, 'a directory'), { maxBytes: 10 })).rejects.toEqual(failed);
});

test.skipIf(process.platform === 'win32')('takes no link for none, wherever it leads', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-files-'));
  const path = join(directory.path, 'file.json');
  await symlink(join(directory.path, 'nowhere'), path);
  await expect(readFileIfAny(path, { maxBytes: 10 })).rejects.toThrow('is a link to a file that is not there');
  expect(await isAnything(path)).toBe(true);
  const round = join(directory.path, 'round');
  await symlink(round, round);
  await expect(readFileIfAny(round, { maxBytes: 10 })).rejects.toThrow(`can't read ${round} (ELOOP)`);
});

test.skipIf(process.platform !== 'linux')('says so when the disk fails while it is read', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-files-'));
  const path = join(directory.path, 'file.json');
  // Reading what is mapped at address 0 is an I/O error.
  await symlink('/proc/self/mem', path);
  await expect(readFileIfAny(path, { maxBytes: 10 })).rejects.toThrow(`can't read ${path} (EIO)`);
});

test('sets a damaged file aside whole, also twice', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-files-'));
  const path = join(directory.path, 'file.json');
  const kept: string[] = [];
  for (const [content, time] of [
    ['one', 0],
    ['two', 1],
  ] as const) {
    await writeFile(path, content);
    kept.push(await setAside(path, time));
  }
  expect(await Promise.all(kept.map(async (file) => await readFile(file, 'utf8')))).toEqual(['one', 'two']);
  expect(await readdir(directory.path)).toHaveLength(2);
  await expect(setAside(path)).rejects.toThrow(`${path} is damaged and can't be set aside (ENOENT)`);
});
