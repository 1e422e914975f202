import { formatBytes, SkeinError } from '@skein/protocol';

import { readGgufLayout, type GgufLayout } from './reader.ts';

/** All of a GGUF before the data of its tensors. */
export interface GgufHead {
  readonly layout: GgufLayout;
  /** The bytes up to `layout.dataOffset`, or to the end of a file that ends before its padding does. */
  readonly content: Uint8Array;
  /** Size of the whole file, in bytes. */
  readonly fileBytes: number;
}

/** Longest head of a file, in bytes: it is kept in memory. A big vocabulary takes 15 MB. */
export const maxHeadBytes = 64 * 1024 * 1024;
/** Bytes asked for first; each further request doubles what is there. */
const firstBytes = 256 * 1024;

/**
 * Reads the head of a GGUF that lies elsewhere, in few requests, and keeps its bytes.
 *
 * @param options.readRange returns exactly the bytes from `offset` up to `end`
 * @param options.maxBytes longest head that is kept
 * @throws SkeinError `model-invalid` when the file is no GGUF, or its head is too long; those of `readRange`
 */
export async function readGgufHead(options: {
  readonly fileBytes: number;
  readonly maxBytes: number;
  readonly readRange: (range: { readonly offset: number; readonly end: number }) => Promise<Uint8Array>;
}): Promise<GgufHead> {
  const { fileBytes, maxBytes, readRange } = options;
  let content: Uint8Array = new Uint8Array(0);
  const fetchUpTo = async (end: number) => {
    if (end > maxBytes) {
      const reason = `its metadata take more than ${formatBytes(maxBytes)}`;
      throw new SkeinError('model-invalid', `the file is beyond what Skein takes: ${reason}; choose another file`);
    }
    while (content.byteLength < end) {
      const offset = content.byteLength;
      const enough = Math.max(end, offset + firstBytes, 2 * offset);
      const next = await readRange({ offset, end: Math.min(fileBytes, maxBytes, enough) });
      content = Buffer.concat([content, next]);
    }
  };
  const layout = await readGgufLayout({
    bytes: fileBytes,
    async read(offset, length) {
      await fetchUpTo(offset + length);
      return content.slice(offset, offset + length);
    },
  });
  await fetchUpTo(Math.min(layout.dataOffset, fileBytes));
  return { layout, content: content.subarray(0, layout.dataOffset), fileBytes };
}
