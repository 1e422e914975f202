import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { statIfAny } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import type { OfferedFile } from '../sources/index.ts';
import { assertRoom, onDisk, type MeasureFreeBytes } from '../disk/index.ts';

export interface DownloadOptions {
  /** Where the bytes go; what is there already is continued. */
  readonly partial: string;
  /** Room for the source's temporary files; made, and removed at the end. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly freeBytes: MeasureFreeBytes;
  readonly onProgress: (doneBytes: number) => void;
}

/**
 * Writes what a source offers to a partial file, and makes sure that it is on the disk. When it fails the partial file is
 * left for the next try, unless it is empty.
 *
 * @returns how many bytes were there already
 * @throws what the source throws; SkeinError `disk-failed`, `model-unreachable` when it sends more or fewer bytes than offered
 */
export async function download(offer: OfferedFile, options: DownloadOptions): Promise<{ resumedBytes: number }> {
  const { partial, scratch, signal, onProgress } = options;
  const directory = dirname(partial);
  const resumedBytes = await usableBytes(partial, offer.bytes);
  await assertRoom(directory, offer.bytes - resumedBytes + offer.scratchBytes, options.freeBytes);
  // The caller holds the lock of this download, so a scratch directory that exists is left from a process that died.
  await rm(scratch, { recursive: true, force: true });
  await onDisk(directory, () => mkdir(scratch));
  let doneBytes = resumedBytes;
  let reportedBytes = 0;
  const report = (bytes: number) => {
    // What arrived in a temporary file is counted again when it is copied; progress must not go backwards.
    reportedBytes = Math.max(reportedBytes, bytes);
    onProgress(reportedBytes);
  };
  report(doneBytes);
  try {
    await using file = await onDisk(directory, () => open(partial, 'a'));
    const isComplete = resumedBytes === offer.bytes;
    const content = isComplete
      ? []
      : offer.read({ offset: resumedBytes, scratchDirectory: scratch, signal, onArrived: report });
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
    await rm(scratch, { recursive: true, force: true });
    if (doneBytes === 0) await rm(partial, { force: true });
  }
}

/** Bytes of an earlier try that can be continued. A file that is too long is none of this offer, and goes. */
async function usableBytes(partial: string, offeredBytes: number): Promise<number> {
  const status = await statIfAny(partial);
  if (status === undefined) return 0;
  if (status.size <= offeredBytes) return status.size;
  await rm(partial, { force: true });
  return 0;
}

function wrongSize(expectedBytes: number, came: string): SkeinError {
  return new SkeinError('model-unreachable', `${expectedBytes} bytes were announced, ${came} came; pull again`);
}
