import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import { syncDirectory } from '@skein/mesh';

import { onDisk } from './files.ts';

/** The file that a log grows in. What is written counts once it is committed; else it is removed before the next attempt. */
export class LogFile {
  readonly #directory: string;
  readonly #handle: FileHandle;
  /** What counts. */
  #bytes: number;
  #written = 0;
  #isClean = false;

  private constructor(directory: string, handle: FileHandle, bytes: number) {
    this.#directory = directory;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /** Opens a file, or creates it with mode 0600, and goes on behind so many bytes of it. */
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

  /** Has the last write count. */
  commit(): void {
    this.#bytes += this.#written;
    this.#written = 0;
    this.#isClean = true;
  }

  async close(): Promise<void> {
    await onDisk(this.#directory, async () => await this.#handle.close());
  }
}
