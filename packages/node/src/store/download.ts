import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { removeFile, removeTree, statIfAny } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import type { OfferedFile } from '../sources/index.ts';
import { assertRoom, onDisk, type MeasureFreeBytes } from '../disk/index.ts';

export interface DownloadOptions {
  /** Path of the partial file; existing content is continued. */
  readonly partial: string;
  /** Directory for the source's temporary files; made, and removed at the end. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly freeBytes: MeasureFreeBytes;
  readonly onProgress: (doneBytes: number) => void;
}

/**
 * Writes the file that a source offers to a partial file, and makes sure that it is on the disk. A failure leaves the
 * partial file for the next try, unless it is empty.
 *
 * @returns how many bytes existed already
 * @throws SkeinError those of the source; `disk-failed`; `model-unreachable` when the source sends more or fewer bytes
 * than offered
 */
export async function download(offer: OfferedFile, options: DownloadOptions): Promise<{ resumedBytes: number }> {
  const { partial, scratch, signal, onProgress } = options;
  const directory = dirname(partial);
  const resumedBytes = await usableBytes(partial, offer.bytes);
  await assertRoom(directory, offer.bytes - resumedBytes + offer.scratchBytes, options.freeBytes);
  // The caller holds the lock of this download, so a scratch directory that exists is left from a process that died.
  await removeTree(scratch);
  await onDisk(directory, () => mkdir(scratch));
  let doneBytes = resumedBytes;
  let reportedBytes = 0;
  const report = (bytes: number) => {
    // Bytes of a temporary file are counted again when it is copied; progress must not go backwards.
    reportedBytes = Math.max(reportedBytes, bytes);
    onProgress(reportedBytes);
  };
  report(doneBytes);
  try {
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
      report(doneBytes);
    }
    signal.throwIfAborted();
    if (doneBytes < offer.bytes) throw wrongSize(offer.bytes, `only ${doneBytes}`);
    await onDisk(directory, () => file.sync());
    return { resumedBytes };
  } finally {
    await removeTree(scratch);
    if (doneBytes === 0) await removeFile(partial);
  }
}

/**
 * Returns the bytes of an earlier try that can be continued. Removes a file that is longer than the offer, and so of
 * another one.
 */
async function usableBytes(partial: string, offeredBytes: number): Promise<number> {
  const status = await statIfAny(partial);
  if (status === undefined) return 0;
  if (status.size <= offeredBytes) return status.size;
  await removeFile(partial);
  return 0;
}

function wrongSize(expectedBytes: number, came: string): SkeinError {
  return new SkeinError('model-unreachable', `${expectedBytes} bytes were announced, ${came} came; pull again`);
}
