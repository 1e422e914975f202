import { readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { trimStageFiles } from './trim.ts';

const fileBytes = 64 * 1024;

/** A directory with stage files `a`, `b` and `c`, used 5, 4 and 3 hours ago. */
async function stageDirectory() {
  const directory = await temporaryDirectory();
  const path = (letter: string) => join(directory.path, `${letter.repeat(64)}.gguf`);
  const usedHoursAgo = async (file: string, hours: number) => {
    const time = new Date(Date.now() - hours * 3_600_000);
    await utimes(file, time, time);
  };
  for (const [letter, hours] of [
    ['a', 5],
    ['b', 4],
    ['c', 3],
  ] as const) {
    await writeFile(path(letter), new Uint8Array(fileBytes).fill(1));
    await usedHoursAgo(path(letter), hours);
  }
  return {
    directory: directory.path,
    path,
    usedHoursAgo,
    /** First letters of the names that are left. */
    left: async () => (await readdir(directory.path)).map((name) => name.charAt(0)).join(''),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

test('removes what was not used for longest, until the rest is within the cap', async () => {
  await using stages = await stageDirectory();
  await stages.usedHoursAgo(stages.path('a'), 2);
  await trimStageFiles({ directory: stages.directory, maxBytes: 2.5 * fileBytes, inUse: new Set() });
  expect(await stages.left()).toBe('ac');
  await trimStageFiles({ directory: stages.directory, maxBytes: 0, inUse: new Set() });
  expect(await stages.left()).toBe('');
});

test('removes nothing within the cap', async () => {
  await using stages = await stageDirectory();
  await trimStageFiles({ directory: stages.directory, maxBytes: 3.5 * fileBytes, inUse: new Set() });
  expect(await stages.left()).toBe('abc');
});

test('spares files in use, files used within the last hour, and whatever is no stage file', async () => {
  await using stages = await stageDirectory();
  const { directory, path } = stages;
  await stages.usedHoursAgo(path('b'), 0.9);
  await writeFile(join(directory, 'notes.gguf'), new Uint8Array(fileBytes).fill(1));
  const partial = `d.gguf.${process.pid}.01234567-89ab-cdef-0123-456789abcdef.partial`;
  await writeFile(join(directory, partial), new Uint8Array(fileBytes).fill(1));
  for (const name of ['notes.gguf', partial]) await stages.usedHoursAgo(join(directory, name), 9);
  await trimStageFiles({ directory, maxBytes: 0, inUse: new Set([path('c')]) });
  expect(await stages.left()).toBe('bcdn');
});

test('counts holes as nothing', async ({ skip }) => {
  await using stages = await stageDirectory();
  await truncate(stages.path('c'), 1024 ** 3);
  await stages.usedHoursAgo(stages.path('c'), 1.1);
  if ((await stat(stages.path('c'))).blocks * 512 > fileBytes * 2) return skip('a file system with sparse files');
  await trimStageFiles({ directory: stages.directory, maxBytes: 3.5 * fileBytes, inUse: new Set() });
  expect(await stages.left()).toBe('abc');
  return undefined;
});
