import { limits, SkeinError } from '@skein/protocol';

import { openFileSource } from '../gguf/index.ts';

/** Consecutive bytes of a model's file. */
export interface ByteRange {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Streams byte ranges of a file back to back, in chunks of at most {@link limits.modelChunkBytes}. The ranges come from
 * other peers, so all of them are checked before anything is read: they must lie inside the file, and together be no
 * longer than it, so that a small request can't make us send without end.
 *
 * @throws SkeinError `protocol-violation` when the ranges break either rule
 */
export async function* readRanges(
  path: string,
  ranges: readonly ByteRange[],
  { signal }: { readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  await using file = await openFileSource(path);
  assertRanges(ranges, file.bytes);
  for (const { offset, bytes } of ranges) {
    for (let done = 0; done < bytes; done += limits.modelChunkBytes) {
      signal?.throwIfAborted();
      yield await file.read(offset + done, Math.min(limits.modelChunkBytes, bytes - done));
    }
  }
}

function assertRanges(ranges: readonly ByteRange[], fileBytes: number): void {
  let total = 0;
  for (const { offset, bytes } of ranges) {
    const isInside = Number.isSafeInteger(offset) && Number.isSafeInteger(bytes) && offset >= 0 && bytes >= 0;
    total += bytes;
    if (isInside && offset + bytes <= fileBytes && total <= fileBytes) continue;
    throw new SkeinError(
      'protocol-violation',
      `the ranges asked for do not fit the model, which has ${fileBytes} bytes; fetch its manifest again`,
    );
  }
}
