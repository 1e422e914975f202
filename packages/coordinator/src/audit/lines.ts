import { createReadStream } from 'node:fs';
import { join } from 'node:path';

import { maxLineBytes } from './entry.ts';

/** A place in a log, as an editor counts. */
export interface Place {
  /** Name of the file. */
  readonly file: string;
  /** Number of the line, from 1. */
  readonly line: number;
  /** Offset of the line's first byte in the file. */
  readonly offset: number;
}

export interface Line extends Place {
  /** The line without its end. Cut where it is longer than any entry. */
  readonly bytes: Buffer;
  /** Whether the end of the line is there. */
  readonly isWhole: boolean;
  /** Offset at which the next line begins. */
  readonly end: number;
}

const newline = 0x0a;

/**
 * Reads a file line by line, from its start or from that of a line. Holds one chunk and one line at a time.
 *
 * @throws SkeinError `disk-failed` when it can't be read
 */
export async function* readLines(
  directory: string,
  { file, line: firstLine = 1, offset: firstOffset = 0 }: Pick<Place, 'file'> & Partial<Place>,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Line, void, undefined> {
  let [line, offset, end] = [firstLine, firstOffset, firstOffset];
  let held: Buffer = Buffer.alloc(0);
  const take = (piece: Buffer) => {
    end += piece.length;
    const kept = piece.subarray(0, maxLineBytes + 1 - held.length);
    held = held.length === 0 ? kept : Buffer.concat([held, kept]);
  };
  const finish = (isWhole: boolean): Line => {
    const finished = { file, line, offset, bytes: held, isWhole, end };
    held = Buffer.alloc(0);
    line += 1;
    offset = end;
    return finished;
  };
  const chunks = createReadStream(join(directory, file), { start: firstOffset, signal });
  for await (const chunk of chunks as AsyncIterable<Buffer>) {
    let start = 0;
    for (let stop = chunk.indexOf(newline); stop !== -1; stop = chunk.indexOf(newline, start)) {
      take(chunk.subarray(start, stop));
      end += 1;
      yield finish(true);
      start = stop + 1;
    }
    take(chunk.subarray(start));
  }
  if (end > offset) yield finish(false);
}
