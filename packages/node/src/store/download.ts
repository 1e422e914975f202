import { createReadStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { removeFile, removeTree, statIfAny } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import { assertRoom, onDisk, shareFile, type MeasureFreeBytes } from '../disk/index.ts';
import type { OfferedFile } from '../sources/index.ts';
import type { RunningManifest } from '../stage-file/index.ts';

/** Bytes read at a time. */
const chunkBytes = 1024 * 1024;

export interface DownloadOptions {
  /** Path of the partial file; existing content is continued. */
  readonly partial: string;
  /** Bytes of it that can be continued. */
  readonly resumedBytes: number;
  /** Directory for the source's temporary files; made, and removed at the end. */
  readonly scratch: string;
  /** Takes every byte of the file, from front to back. */
  readonly manifest: Pick<RunningManifest, 'update'>;
  readonly signal: AbortSignal;
  readonly freeBytes: MeasureFreeBytes;
  /** Receives the bytes of an earlier try that were read again. */
  readonly onRead: (doneBytes: number) => void;
  /** Receives the bytes that are here. */
  readonly onProgress: (doneBytes: number) => void;
}

/**
 * Writes the file that a source offers to a partial file, and makes sure that it is on the disk. Every byte is hashed
 * on its way there; those of an earlier try are read for that. A failure leaves the partial file for the next try,
 * unless it is empty.
 *
 * @throws SkeinError those of the source and of the manifest; `disk-failed`; `model-unreachable` when the source sends
 * more or fewer bytes than offered
 */
export async function download(offer: OfferedFile, options: DownloadOptions): Promise<void> {
  const { partial, resumedBytes, scratch, signal } = options;
  const directory = dirname(partial);
  const { path: from, mayLink = false } = offer;
  if (resumedBytes === 0 && from !== undefined && (await shareFile({ from, to: partial, mayLink }))) {
    return await readShared(partial, options);
  }
  await assertRoom(directory, offer.bytes - resumedBytes + offer.scratchBytes, options.freeBytes);
  // The caller holds the lock of this download, so a scratch directory that exists is left from a process that died.
  await removeTree(scratch);
  await onDisk(directory, () => mkdir(scratch));
  let doneBytes = resumedBytes;
  let reportedBytes = 0;
  const report = (bytes: number) => {
    // Bytes of a temporary file are counted again when it is copied; progress must not go backwards.
    reportedBytes = Math.max(reportedBytes, bytes);
    options.onProgress(reportedBytes);
  };
  try {
    if (resumedBytes > 0) await readFrom(partial, options);
    report(doneBytes);
    await using file = await onDisk(directory, () => open(partial, 'a'));
    const isComplete = resumedBytes === offer.bytes;
    const content = isComplete
      ? []
      : offer.read({ offset: resumedBytes, end: offer.bytes, scratchDirectory: scratch, signal, onArrived: report });
    for await (const chunk of content) {
      signal.throwIfAborted();
      if (doneBytes + chunk.byteLength > offer.bytes) throw wrongSize(offer.bytes, 'more');
      await onDisk(directory, () => file.appendFile(chunk));
      doneBytes += chunk.byteLength;
      await options.manifest.update(chunk);
      report(doneBytes);
    }
    signal.throwIfAborted();
    if (doneBytes < offer.bytes) throw wrongSize(offer.bytes, `only ${doneBytes}`);
    await onDisk(directory, () => file.sync());
  } finally {
    await removeTree(scratch);
    if (doneBytes === 0) await removeFile(partial);
  }
}

/**
 * Returns the bytes of an earlier try that can be continued. Removes a file that is longer than the offer, and so of
 * another one, and one that has another name: it is somebody else's, too, and must not be written to.
 */
export async function usableBytes(partial: string, offeredBytes: number): Promise<number> {
  const status = await statIfAny(partial);
  if (status === undefined) return 0;
  if (status.size <= offeredBytes && status.nlink === 1) return status.size;
  await removeFile(partial);
  return 0;
}

/** Reads a file that shares its content with another one. A failure removes it: nothing is lost with it. */
async function readShared(path: string, options: DownloadOptions): Promise<void> {
  try {
    await readFrom(path, { ...options, onRead: options.onProgress });
  } catch (error) {
    await removeFile(path);
    throw error;
  }
}

async function readFrom(
  path: string,
  { manifest, signal, onRead }: Pick<DownloadOptions, 'manifest' | 'signal' | 'onRead'>,
): Promise<void> {
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes, signal })) {
    await manifest.update(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).byteLength;
    onRead(bytes);
  }
}

function wrongSize(expectedBytes: number, came: string): SkeinError {
  return new SkeinError('model-unreachable', `${expectedBytes} bytes were announced, ${came} came; pull again`);
}
