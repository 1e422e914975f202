import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import { syncDirectory } from '@skein/mesh';

import { onDisk } from './files.ts';

/**
 * The file that a log grows in. Written bytes count once they are committed; otherwise they are removed before the next
 * attempt.
 */
export class LogFile {
  readonly #directory: string;
  readonly #handle: FileHandle;
  /** Number of bytes that count. */
  #bytes: number;
  #written = 0;
  #isClean = false;

  private constructor(directory: string, handle: FileHandle, bytes: number) {
    this.#directory = directory;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /** Opens a file, or creates it with mode 0600, and goes on behind its first `bytes` bytes. */
  static async open(path: string, bytes: number): Promise<LogFile> {
    const directory = dirname(path);
    return await onDisk(directory, async () => {
      const file = new LogFile(directory, await open(path, 'a', 0o600), bytes);
      await syncDirectory(directory);
      return file;
    });
  }

  /** Writes to the end. Resolves when it is on the disk. */
  async write(content: Buffer): Promise<void> {
    await onDisk(this.#directory, async () => {
      if (!this.#isClean && (await this.#handle.stat()).size > this.#bytes) await this.#handle.truncate(this.#bytes);
      this.#isClean = false;
      for (let done = 0; done < content.byteLength;) {
        done += (await this.#handle.write(content, done)).bytesWritten;
      }
      await this.#handle.datasync();
      this.#written = content.byteLength;
    });
  }

  /** Commits the last write, which counts from now on. */
  commit(): void {
    this.#bytes += this.#written;
    this.#written = 0;
    this.#isClean = true;
  }

  async close(): Promise<void> {
    await onDisk(this.#directory, async () => await this.#handle.close());
  }
}
