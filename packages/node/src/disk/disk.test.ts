import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { assertRoom, measureFreeBytes, onDisk, replaceFile } from './index.ts';

function refusal(code: string): Error {
  return Object.assign(new Error(`${code}: refused`), { code });
}

test('what the system refuses becomes an error with the directory and the reason', async () => {
  await expect(onDisk('/data', () => Promise.reject(refusal('EROFS')))).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringMatching(/\/data \(EROFS\)/),
  });
  await expect(onDisk('/data', () => Promise.reject(refusal('ENOSPC')))).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringMatching(/no room left in \/data/),
  });
});

test('passes errors that say already what is wrong', async () => {
  const error = new SkeinError('hash-mismatch', 'another file');
  await expect(onDisk('/data', () => Promise.reject(error))).rejects.toBe(error);
});

test('says how much room is missing, and where', async () => {
  await using directory = await temporaryDirectory();
  await assertRoom(directory.path, 1, measureFreeBytes);
  await expect(assertRoom(directory.path, 500, () => Promise.resolve(20))).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringContaining(`${directory.path}: 500 B are needed, 20 B are free`),
    details: { directory: directory.path, neededBytes: 500, freeBytes: 20 },
  });
});

test('replaces a file as a whole and leaves nothing beside it', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'names.json');
  await writeFile(path, 'old and longer');
  await replaceFile(path, 'new');
  expect(await readFile(path, 'utf8')).toBe('new');
  await expect(replaceFile(directory.path, 'not over a directory')).rejects.toMatchObject({ code: 'disk-failed' });
  expect(await readdir(directory.path)).toEqual(['names.json']);
});
