import { mkdir, mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger } from '@skein/protocol';
import { expect, test } from 'vitest';

import { LeaseFile } from './lease-file.ts';

const [mesh, otherMesh, holder] = ['12D3KooWMeshMeshMesh', '12D3KooWThingThings1', '12D3KooWHolderHolder'] as const;

test('gives back the lease that was written last, in the same mesh', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-lease-'));
  const path = join(directory.path, 'lease.json');
  const file = new LeaseFile(path, mesh);
  expect(await file.read(silentLogger)).toBeUndefined();
  await file.write({ epoch: 1, holder });
  await file.write({ epoch: 7, holder });
  expect(await new LeaseFile(path, mesh).read(silentLogger)).toEqual({ epoch: 7, holder });
  expect(await new LeaseFile(path, otherMesh).read(silentLogger)).toBeUndefined();
});

test('a damaged file is set aside and counts as missing', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-lease-'));
  const path = join(directory.path, 'lease.json');
  for (const text of ['', '{"epoch":1', `{"mesh":"${mesh}","epoch":-1,"holder":"${holder}"}`]) {
    await writeFile(path, text);
    expect(await new LeaseFile(path, mesh).read(silentLogger)).toBeUndefined();
  }
  expect(await readdir(directory.path)).not.toContain('lease.json');
});

test('fails to write where the directory does not take it', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-lease-'));
  const path = join(directory.path, 'lease.json');
  // A directory in its place takes no file, whoever writes: root passes over modes.
  await mkdir(path);
  await expect(new LeaseFile(path, mesh).write({ epoch: 1, holder })).rejects.toMatchObject({ code: 'disk-failed' });
});
