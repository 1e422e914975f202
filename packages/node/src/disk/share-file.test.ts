import { randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { mountImage, type FileSystemName } from '../../../../scripts/fixtures/mounted-image.ts';
import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openStore } from '../store/index.ts';
import { measureFreeBytes, shareFile } from './index.ts';

const fileSystems: readonly FileSystemName[] = ['btrfs', 'xfs'];
const bytes = 40 * 1024 * 1024;

describe.each(fileSystems)('on %s', (name) => {
  it('a clone takes no room, stays as it was, and is ours whatever the mode of the original', async ({ skip }) => {
    const mounted = await mountImage(name);
    if ('missing' in mounted) return skip(mounted.missing);
    await using mount = mounted;
    const [from, to] = [join(mount.path, 'original'), join(mount.path, 'clone')];
    const content = randomBytes(bytes);
    await writeFile(from, content, { mode: 0o444, flush: true });
    const before = await measureFreeBytes(mount.path);
    expect(await shareFile({ from, to, mayLink: false })).toBe(true);
    // Some room is for what describes the clone.
    expect(before - (await measureFreeBytes(mount.path))).toBeLessThan(bytes / 4);
    expect((await stat(to)).mode & 0o777).toBe(0o600);
    await writeFile(from, 'edited');
    expect((await readFile(to)).equals(content)).toBe(true);
    return undefined;
  });

  it('a model beside the store is held without room for a copy', async ({ skip }) => {
    const mounted = await mountImage(name);
    if ('missing' in mounted) return skip(mounted.missing);
    await using mount = mounted;
    const path = join(mount.path, 'tiny.gguf');
    await writeTinyModel('llama', path);
    const store = await openStore(join(mount.path, 'data'), { freeBytes: () => Promise.resolve(0) });
    const { model } = await store.pull(path);
    const held = await stat(await store.path(model));
    expect(held.nlink).toBe(1);
    expect(held.ino).not.toBe((await stat(path)).ino);
    return undefined;
  });
});
