import { mkdir, mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import {
  linkFile,
  removeFile,
  removeTree,
  removeUnlessUsed,
  renameFile,
  untilFree,
  type Circumstances,
} from './change-files.ts';

/** A change that the system refuses so many times, and the pauses that were made for it. */
function refused(times: number, code: string) {
  const refusal = Object.assign(new Error(`${code}: refused`), { code });
  let tries = 0;
  const pausesMs: number[] = [];
  return {
    refusal,
    pausesMs,
    change: async () => {
      tries += 1;
      if (tries <= times) throw refusal;
    },
    wait: async (durationMs: number) => void pausesMs.push(durationMs),
    get tries() {
      return tries;
    },
  };
}

const windows: Circumstances = { platform: 'win32' };

test.each(['EPERM', 'EBUSY', 'EACCES'])('waits on Windows until a scanner lets go of a file (%s)', async (code) => {
  const file = refused(3, code);
  await untilFree(file.change, { ...windows, wait: file.wait });
  expect(file.tries).toBe(4);
  expect(file.pausesMs).toHaveLength(3);
});

test('gives up after ten seconds with the error of the system', async () => {
  const file = refused(Infinity, 'EPERM');
  await expect(untilFree(file.change, { ...windows, wait: file.wait })).rejects.toBe(file.refusal);
  expect(file.pausesMs.reduce((sum, pauseMs) => sum + pauseMs, 0)).toBe(10_000);
});

test.each([
  ['win32', 'ENOENT'],
  ['win32', 'EEXIST'],
  ['win32', 'ENOSPC'],
  ['linux', 'EPERM'],
  ['darwin', 'EACCES'],
] as const)('takes for final on %s what no wait changes (%s)', async (platform, code) => {
  const file = refused(Infinity, code);
  await expect(untilFree(file.change, { platform, wait: file.wait })).rejects.toBe(file.refusal);
  expect(file.tries).toBe(1);
});

test('renames over what is there, links over nothing, and removes what may be missing', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-files-'));
  const [one, two, three] = ['one', 'two', 'three'].map((name) => join(directory.path, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(one, 'new');
  await writeFile(two, 'old');
  await renameFile(one, two);
  expect(await readFile(two, 'utf8')).toBe('new');
  await linkFile(two, three);
  await expect(linkFile(two, three)).rejects.toMatchObject({ code: 'EEXIST' });
  await mkdir(join(one, 'below'), { recursive: true });
  await expect(removeFile(one)).rejects.toMatchObject({ code: 'ERR_FS_EISDIR' });
  await removeTree(one);
  for (const remove of [removeFile, removeTree]) await remove(one);
  expect(await removeUnlessUsed(three)).toBe(true);
  expect(await removeUnlessUsed(three)).toBe(true);
  expect(await removeUnlessUsed(directory.path)).toBe(false);
  expect(await readdir(directory.path)).toEqual(['two']);
});
