import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { PartialFile } from './partial-file.ts';

test('appears under its name when it is committed, else not at all', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'stage.gguf');
  {
    await using abandoned = await PartialFile.create(path, 3);
    await abandoned.write(Buffer.from('abc'), 0);
  }
  expect(await readdir(directory.path)).toEqual([]);
  await using file = await PartialFile.create(path, 6);
  await file.write(Buffer.from('abc'), 3);
  await file.commit();
  expect(await readFile(path)).toEqual(Buffer.from('\0\0\0abc'));
});

test('says where it cannot be written, and why', async () => {
  await using directory = await temporaryDirectory();
  const missing = join(directory.path, 'missing');
  await expect(PartialFile.create(join(missing, 'stage.gguf'), 3)).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringContaining(`${missing} (ENOENT)`),
  });
});
