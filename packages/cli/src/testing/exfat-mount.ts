import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const imageBytes = 64 * 1024 * 1024;

/** A mounted exFAT file system: whoever asks may read and write all of it, and no mode is kept. */
export interface ExfatMount extends AsyncDisposable {
  readonly path: string;
}

/** Mounts an empty exFAT file system; or returns the reason to skip a test, where this machine can't. */
export async function mountExfat(): Promise<ExfatMount | { readonly missing: string }> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { missing: 'mounting exFAT needs Linux and root' };
  await using stack = new AsyncDisposableStack();
  try {
    const root = await mkdtemp(join(tmpdir(), 'skein-exfat-'));
    stack.defer(async () => await rm(root, { recursive: true }));
    const [image, path] = [join(root, 'image'), join(root, 'mount')];
    await mkdir(path);
    const file = await open(image, 'wx');
    await file.truncate(imageBytes);
    await file.close();
    await run('mkfs.exfat', [image]);
    const device = (await run('losetup', ['--find', '--show', image])).stdout.trim();
    stack.defer(async () => void (await run('losetup', ['--detach', device])));
    await run('mount.exfat-fuse', ['-o', 'umask=0', device, path]);
    stack.defer(async () => void (await run('umount', [path])));
    const mounted = stack.move();
    return { path, [Symbol.asyncDispose]: async () => await mounted.disposeAsync() };
  } catch (error) {
    const [line = ''] = String(error).split('\n');
    return {
      missing: `no exFAT here (packages exfatprogs and exfat-fuse, and a kernel with FUSE and loop devices): ${line}`,
    };
  }
}
