import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { syncDirectory } from './sync-directory.ts';

test('syncs a directory, and says when there is none', async () => {
  await syncDirectory(tmpdir());
  await expect(syncDirectory(join(tmpdir(), 'no such directory'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test.runIf(process.platform === 'linux')('takes a file system that syncs no directories as it is', async () => {
  // As on SMB and 9p.
  await using handle = await open('/proc', 'r');
  await expect(handle.sync()).rejects.toMatchObject({ code: 'EINVAL' });
  await syncDirectory('/proc');
});
