import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { execute } from '../lan/execute.ts';

const bytes = 48 * 1024 * 1024;
const chunk = new Uint8Array(256 * 1024);

/** A directory on a small disk of its own, in memory. Disposing unmounts it; so does the end of this process. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;
  readonly #unmounted: () => Promise<void>;

  /** Makes the directory, and mounts the disk there. Needs root, and Linux. */
  static async mount(path: string): Promise<SmallDisk> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', path]);
    // The other end of its standard input is held by this process: it reads to the end when that ends.
    const script = 'cat > /dev/null; umount --lazy "$1"';
    const child = spawn('sh', ['-c', script, 'sh', path], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    return new SmallDisk(path, async () => {
      child.stdin.end();
      await once(child, 'close');
    });
  }

  private constructor(path: string, unmounted: () => Promise<void>) {
    this.path = path;
    this.#unmounted = unmounted;
  }

  /** Fills what is free. */
  async fill(): Promise<void> {
    await using file = await open(this.#filling, 'w');
    for (const step of [chunk, chunk.subarray(0, 512)]) {
      try {
        for (;;) await file.write(step);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      }
    }
  }

  /** Makes room again. */
  async empty(): Promise<void> {
    await rm(this.#filling, { force: true });
  }

  get #filling(): string {
    return join(this.path, 'filling');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unmounted();
  }
}
