import type { ByteRange } from './read-ranges.ts';

/** Joins adjacent ranges, keeping their order, and leaves out empty ones. */
export function coalesce(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: { offset: number; bytes: number }[] = [];
  for (const { offset, bytes } of ranges) {
    const last = joined.at(-1);
    if (bytes === 0) continue;
    if (last !== undefined && last.offset + last.bytes === offset) last.bytes += bytes;
    else joined.push({ offset, bytes });
  }
  return joined;
}

/** Returns the rest of ranges after their first `count` bytes. */
export function dropFront(ranges: readonly ByteRange[], count: number): ByteRange[] {
  let dropped = count;
  return ranges.flatMap(({ offset, bytes }) => {
    const taken = Math.min(dropped, bytes);
    dropped -= taken;
    return taken === bytes ? [] : [{ offset: offset + taken, bytes: bytes - taken }];
  });
}

/** Adds up the bytes of ranges. */
export function totalBytes(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { bytes }) => sum + bytes, 0);
}
