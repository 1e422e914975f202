import { open } from 'node:fs/promises';

/** Bytes that can be read at any offset: a file, a buffer, a range of something bigger. */
export interface ByteSource {
  /** Total size, in bytes. */
  readonly bytes: number;
  /**
   * Reads exactly `length` bytes from `offset`. The result belongs to the caller.
   *
   * @throws RangeError when the range does not lie inside the source
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A {@link ByteSource} that holds a file open. */
export interface FileSource extends ByteSource, AsyncDisposable {
  readonly path: string;
}

/** Opens a file for random access. Close it with `await using`. Reads throw RangeError for a range outside the file. */
export async function openFileSource(path: string): Promise<FileSource> {
  const handle = await open(path, 'r');
  const { size } = await handle.stat().catch(async (error: unknown) => {
    await handle.close();
    throw error;
  });
  return {
    path,
    bytes: size,
    async read(offset, length) {
      assertRange(offset, length, size);
      const buffer = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw new RangeError(`${path} became shorter while it was read`);
        filled += bytesRead;
      }
      return buffer;
    },
    async [Symbol.asyncDispose]() {
      await handle.close();
    },
  };
}

/** Makes a {@link ByteSource} of bytes in memory. Reads throw RangeError for a range outside them. */
export function memorySource(content: Uint8Array): ByteSource {
  return {
    bytes: content.byteLength,
    read(offset, length) {
      assertRange(offset, length, content.byteLength);
      return Promise.resolve(content.slice(offset, offset + length));
    },
  };
}

function assertRange(offset: number, length: number, bytes: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= bytes) return;
  throw new RangeError(`cannot read ${length} bytes at ${offset}: the source has ${bytes} bytes`);
}
