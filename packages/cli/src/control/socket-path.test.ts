import { chmod, mkdtempDisposable, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';

import { controlSocketPath } from './socket-path.ts';

const long = `/data/${'x'.repeat(120)}`;
const isWindows = process.platform === 'win32';

test.skipIf(isWindows)('lies in the data directory', async () => {
  expect(await controlSocketPath('/data/skein', { platform: 'linux' })).toBe('/data/skein/control.sock');
});

test.skipIf(isWindows)('moves to a private directory where the path is too long for a socket', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-path-'));
  const options = { platform: 'linux' as const, temporaryDirectory: root.path };
  const path = await controlSocketPath(long, options);
  expect(Buffer.byteLength(path)).toBeLessThan(104);
  expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
  expect(await controlSocketPath(long, options)).toBe(path);
  expect(await controlSocketPath(`${long}y`, options)).not.toBe(path);
});

test.skipIf(isWindows)('is not in a data directory that others can enter', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-path-'));
  const options = { platform: 'linux' as const, temporaryDirectory: root.path, isOpen: true };
  expect(dirname(dirname(await controlSocketPath('/data/skein', options)))).toBe(root.path);
});

test.skipIf(isWindows)('does not trust a directory that others can enter', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-path-'));
  const options = { platform: 'linux' as const, temporaryDirectory: root.path };
  await chmod(dirname(await controlSocketPath(long, options)), 0o755);
  await expect(controlSocketPath(long, options)).rejects.toMatchObject({ code: 'disk-failed' });
});

test('is a file in the data directory on Windows, too', async () => {
  const path = await controlSocketPath('C:\\Users\\ada\\skein', { platform: 'win32' });
  expect(path).toBe('C:\\Users\\ada\\skein\\control.pipe');
});
