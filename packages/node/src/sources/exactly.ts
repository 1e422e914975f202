import { SkeinError } from '@skein/protocol';

/**
 * Streams the first `bytes` bytes of a content, and leaves the rest unread.
 *
 * @throws SkeinError `model-unreachable` when the content is shorter
 */
export async function* exactly(content: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let missing = bytes;
  if (missing === 0) return;
  for await (const chunk of content) {
    const wanted = chunk.subarray(0, missing);
    missing -= wanted.byteLength;
    if (wanted.byteLength > 0) yield wanted;
    if (missing === 0) return;
  }
  throw new SkeinError('model-unreachable', `the content ended ${missing} bytes early; pull again`);
}
