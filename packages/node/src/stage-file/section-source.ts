import type { Section } from '@skein/protocol';

import { openFileSource } from '../gguf/index.ts';

/** A source of a model's sections: a local GGUF, or peers that hold it. */
export interface SectionSource {
  /**
   * Streams the bytes of the sections back to back, in the order given, in chunks of any size up to a mebibyte or so.
   * Breaking out of the loop cancels.
   */
  read(sections: readonly Section[], options: { readonly signal?: AbortSignal | undefined }): SectionStream;
}

/** Bytes of sections, as they arrive. */
export interface SectionStream extends AsyncIterable<Uint8Array> {
  /**
   * Rejects a section that came and is not what the manifest says. Absent where there is nowhere else to ask.
   *
   * @returns whether it is worth reading the section again
   */
  reject?(section: Section): boolean;
}

/** Bytes read at a time. */
const chunkBytes = 1024 * 1024;

/** Makes a source of sections from a whole model's GGUF on this machine. */
export function fileSectionSource(path: string): SectionSource {
  return {
    async *read(sections, { signal }) {
      await using file = await openFileSource(path);
      for (const { offset, bytes } of sections) {
        for (let done = 0; done < bytes; done += chunkBytes) {
          signal?.throwIfAborted();
          yield await file.read(offset + done, Math.min(chunkBytes, bytes - done));
        }
      }
    },
  };
}
