import { DirectoryChanges } from './directory-changes.ts';
import { decodeEntry, type Entry } from './entry.ts';
import { fileName, fileNumber, listFiles, noLog } from './files.ts';
import { readLines, type Line, type Place } from './lines.ts';

/** An entry as it was read, by itself: only `verifyAuditLog` tells whether it fits its neighbours. */
export interface ReadEntry extends Place {
  /** The line, without its end. */
  readonly text: string;
  /** The entry; undefined for a line that is not as it was written. */
  readonly entry: Entry | undefined;
}

/**
 * Yields all whole entries, from the first one.
 *
 * @throws SkeinError `not-found` where there is no log, `disk-failed` when it can't be read
 */
export async function* readEntries(
  directory: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<ReadEntry, void, undefined> {
  for (const file of await filesOf(directory)) {
    for await (const line of readLines(directory, { file }, { signal })) if (line.isWhole) yield read(line);
  }
}

/**
 * Returns the last `count` entries, and the place at which the log ended.
 *
 * @throws SkeinError `not-found` where there is no log, `disk-failed` when it can't be read
 */
export async function lastEntries(
  directory: string,
  { count, signal }: { readonly count: number; readonly signal?: AbortSignal },
): Promise<{ readonly entries: readonly ReadEntry[]; readonly end: Place }> {
  let entries: ReadEntry[] = [];
  let end: Place | undefined;
  for (const file of (await filesOf(directory)).toReversed()) {
    const lines: Line[] = [];
    let place: Place = { file, line: 1, offset: 0 };
    for await (const line of readLines(directory, { file }, { signal })) {
      if (!line.isWhole) break;
      place = after(line);
      lines.push(line);
      if (lines.length > count - entries.length) lines.shift();
    }
    end ??= place;
    entries = [...lines.map(read), ...entries];
    if (entries.length >= count) break;
  }
  return { entries, end: end ?? { file: fileName(1), line: 1, offset: 0 } };
}

/** Yields entries from a place on, including those to come, until the signal aborts; then throws its reason. */
export async function* followEntries(
  directory: string,
  { from, signal }: { readonly from: Place; readonly signal: AbortSignal },
): AsyncGenerator<ReadEntry, never, undefined> {
  using changes = new DirectoryChanges(directory);
  let place = from;
  for (;;) {
    changes.reset();
    const next = fileName(fileNumber(place.file) + 1);
    // Asked before the file is read: one that has a successor grows no more.
    const isFinished = (await listFiles(directory)).includes(next);
    for await (const line of readLines(directory, place, { signal })) {
      if (!line.isWhole) break;
      place = after(line);
      yield read(line);
    }
    if (isFinished) place = { file: next, line: 1, offset: 0 };
    else await changes.next(signal);
  }
}

async function filesOf(directory: string): Promise<readonly string[]> {
  const files = await listFiles(directory);
  if (files.length === 0) throw noLog(directory);
  return files;
}

function after({ file, line, end }: Line): Place {
  return { file, line: line + 1, offset: end };
}

function read({ bytes, file, line, offset }: Line): ReadEntry {
  return { text: bytes.toString(), entry: decodeEntry(bytes), file, line, offset };
}
