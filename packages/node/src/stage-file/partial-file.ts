import { randomUUID } from 'node:crypto';
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { removeFile } from '@skein/mesh';
import { hasCode } from '@skein/protocol';

import { onDisk, renameDurably } from '../disk/index.ts';

/** Names of files that this process is writing, to tell them from those of a dead process that had our process id. */
const active = new Set<string>();
const partialName = /\.(\d+)\.[0-9a-f-]{36}\.partial$/;

/**
 * A file that appears under its name only when it is complete and on the disk. Use it with `await using`: nothing of it
 * is left unless {@link PartialFile.commit} was called.
 */
export class PartialFile implements AsyncDisposable {
  readonly #path: string;
  readonly #temporaryPath: string;
  readonly #handle: FileHandle;
  #open = true;

  private constructor(path: string, temporaryPath: string, handle: FileHandle) {
    this.#path = path;
    this.#temporaryPath = temporaryPath;
    this.#handle = handle;
  }

  /**
   * Creates the file beside its final place.
   *
   * @param bytes the final size; bytes that are never written stay zero and, where the file system can, take no room
   */
  static async create(path: string, bytes: number): Promise<PartialFile> {
    const temporaryPath = `${path}.${process.pid}.${randomUUID()}.partial`;
    active.add(basename(temporaryPath));
    try {
      const handle = await onDisk(dirname(path), () => open(temporaryPath, 'wx'));
      const file = new PartialFile(path, temporaryPath, handle);
      await onDisk(dirname(path), () => handle.truncate(bytes)).catch(async (error: unknown) => {
        await file[Symbol.asyncDispose]();
        throw error;
      });
      return file;
    } catch (error) {
      active.delete(basename(temporaryPath));
      throw error;
    }
  }

  async write(content: Uint8Array, offset: number): Promise<void> {
    await onDisk(dirname(this.#path), async () => {
      for (let done = 0; done < content.byteLength;) {
        const { bytesWritten } = await this.#handle.write(content, done, content.byteLength - done, offset + done);
        done += bytesWritten;
      }
    });
  }

  /** Gives the file its name, durably. */
  async commit(): Promise<void> {
    await onDisk(dirname(this.#path), () => this.#handle.sync());
    await this.#close();
    await renameDurably(this.#temporaryPath, this.#path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    await removeFile(this.#temporaryPath);
    active.delete(basename(this.#temporaryPath));
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close();
  }
}

/** Removes files in a directory that processes left when they died while writing. */
export async function removeStalePartialFiles(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const writer = partialName.exec(name)?.[1];
    if (writer === undefined || active.has(name)) continue;
    if (Number(writer) === process.pid || !isAlive(Number(writer))) await removeFile(join(directory, name));
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // Not ours to signal, so it lives.
    return hasCode(error, 'EPERM');
  }
}
