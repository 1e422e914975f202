import { mkdir, mkdtempDisposable, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isIdentityEncrypted, loadIdentity } from '@skein/mesh';
import { hasCode } from '@skein/protocol';
import { expect, test } from 'vitest';

import { mountImage } from '../../../../scripts/fixtures/mounted-image.ts';
import { runInProcess, type Outcome } from '../testing/run-in-process.ts';

/** Starts a mesh, and interrupts it once it is up. */
async function upOnce(data: string, words: readonly string[]): Promise<Outcome> {
  const controller = new AbortController();
  const quiet = ['--port', '0', '--no-serve', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
  return await runInProcess(['up', ...quiet, ...words], {
    data,
    signal: controller.signal,
    onPrint: () => controller.abort(),
  });
}

test('works where a file system keeps no modes, with encrypted keys and a warning, and not without', async ({
  skip,
}) => {
  const mounted = await mountImage('exfat');
  if ('missing' in mounted) return skip(mounted.missing);
  await using mount = mounted;
  await using own = await mkdtempDisposable(join(tmpdir(), 'skein-passphrase-'));
  const passphraseFile = join(own.path, 'words.txt');
  await writeFile(passphraseFile, 'four words of mine', { mode: 0o600 });
  const data = join(mount.path, 'skein');

  const refused = await upOnce(data, []);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(
    /does not keep modes.*~\/\.skein-passphrase\).*--passphrase-file ~\/\.skein-passphrase/s,
  );
  expect(await readdir(data)).toEqual([]);

  for (const attempt of ['first', 'again']) {
    const { stdout, stderr } = await upOnce(data, ['--passphrase-file', passphraseFile]);
    expect([attempt, stdout]).toEqual([attempt, expect.stringContaining('Skein is up')]);
    expect(stderr).toMatch(/^warning: other users of this machine can read and change what lies in .*encrypted;.*\n$/);
  }
  expect(await isIdentityEncrypted(data)).toBe(true);
  expect((await readFile(join(data, 'authority.key'), 'utf8')).startsWith('{"sealed"')).toBe(true);
  expect((await readdir(data)).filter((name) => /sock|tmp|modes/.test(name))).toEqual([]);

  const status = await runInProcess(['status'], { data });
  expect(status.stderr).toContain('Skein does not run in');
  const locked = await upOnce(data, []);
  expect(locked.stderr).toContain('is encrypted; name the file that holds its passphrase');
}, 60_000);

/** Takes all room of a file system but that of one small file. */
async function fill(path: string): Promise<void> {
  await using file = await open(path, 'wx');
  const cluster = Buffer.alloc(4096);
  let bytes = 0;
  try {
    for (;;) bytes += (await file.write(cluster)).bytesWritten;
  } catch (error) {
    if (!hasCode(error, 'ENOSPC')) throw error;
  }
  await file.truncate(bytes - cluster.byteLength);
}

test('leaves no part of a key where a file has one name only and the disk is full', async ({ skip }) => {
  const mounted = await mountImage('exfat');
  if ('missing' in mounted) return skip(mounted.missing);
  await using mount = mounted;
  const data = join(mount.path, 'skein');
  await mkdir(data);
  await fill(join(mount.path, 'others'));
  await expect(loadIdentity(data, { passphrase: 'four words' })).rejects.toMatchObject({ code: 'disk-failed' });
  expect(await readdir(data)).toEqual([]);
}, 60_000);
