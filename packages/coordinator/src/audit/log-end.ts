import type { KeyObject } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { renameFile } from '@skein/mesh';
import { hasCode, SkeinError } from '@skein/protocol';

import { Chain } from './chain.ts';
import { decodeEntry, noHash } from './entry.ts';
import { fileName, fileNumber, listFiles, onDisk } from './files.ts';
import { readHead, type Head } from './head.ts';
import { readLines } from './lines.ts';
import { encodeKey } from './signature.ts';

/** The place at which a log goes on. */
export interface LogEnd {
  /** Number of the last whole entry; 0 for a new log. */
  readonly seq: number;
  readonly hash: string;
  /** Number of the file to write to. */
  readonly fileNumber: number;
  /** Bytes of that file that are whole entries. */
  readonly fileBytes: number;
  /** Number of entries behind the head. */
  readonly unsealed: number;
  /** Remains of a crash behind the last whole entry, moved to a file of their own. */
  readonly torn: { readonly kept: string; readonly bytes: number } | undefined;
}

/**
 * Finds where a log goes on, after an orderly end or a crash. A crash can only have left something behind the head,
 * since that is written last; whole entries there are kept, the rest is copied aside. Returns undefined where there is
 * no log.
 *
 * @throws SkeinError `disk-failed` when the log lacks or contradicts entries that the head vouches for, or was signed
 * with another key, none of which a crash can do
 */
export async function findLogEnd(directory: string, key: KeyObject): Promise<LogEnd | undefined> {
  const head = await readHead(directory);
  const files = await listFiles(directory);
  if (head === undefined && files.length === 0) return undefined;
  if (head === undefined || head === 'damaged' || !head.isSignedBy(key)) {
    if (await isOfAnotherKey(directory, key)) throw refusal(directory, 'was signed with another key');
    throw refusal(directory, 'has no head of ours');
  }
  const { sizeBytes, ...end } = await readEnd(directory, head, files);
  const kept = `torn-${String(end.seq + 1).padStart(6, '0')}`;
  const file = fileName(end.fileNumber);
  // Copied before anything is removed; a copy that is there is of a recovery that was interrupted itself.
  let bytes = await sizeOf(directory, kept);
  if (bytes === undefined && sizeBytes > end.fileBytes) {
    await copyAside(directory, { file, start: end.fileBytes, kept });
    bytes = sizeBytes - end.fileBytes;
  }
  return { ...end, unsealed: end.seq - head.entries, torn: bytes === undefined ? undefined : { kept, bytes } };
}

/** Reads the last two files: the last may be empty yet. */
async function readEnd(directory: string, head: Head, files: readonly string[]) {
  const chain = new Chain(files.length > 2 ? 'anywhere' : 'beginning');
  const last = files.at(-1) ?? fileName(1);
  let end = { seq: 0, hash: noHash, fileNumber: fileNumber(last), fileBytes: 0 };
  let isHeadFound = head.entries === 0;
  for (const file of files.slice(-2)) {
    end = { ...end, fileBytes: 0 };
    for await (const line of readLines(directory, { file })) {
      const { entry, problem } = chain.take(line);
      if (entry === undefined || problem !== undefined) {
        if (file !== last || !isHeadFound) throw refusal(directory, `is damaged at ${file}, line ${line.line}`);
        break;
      }
      end = { ...end, seq: entry.seq, hash: entry.hash, fileBytes: line.end };
      isHeadFound ||= entry.seq === head.entries && entry.hash === head.hash;
    }
  }
  if (!isHeadFound) throw refusal(directory, `lacks what its head vouches for, entry ${head.entries}`);
  return { ...end, sizeBytes: (await sizeOf(directory, last)) ?? 0 };
}

async function isOfAnotherKey(directory: string, key: KeyObject): Promise<boolean> {
  const [file] = await listFiles(directory);
  if (file === undefined) return false;
  for await (const { bytes } of readLines(directory, { file })) {
    const entry = decodeEntry(bytes);
    return entry?.type === 'opened' && entry['key'] !== encodeKey(key);
  }
  return false;
}

async function copyAside(
  directory: string,
  { file, start, kept }: { readonly file: string; readonly start: number; readonly kept: string },
): Promise<void> {
  const path = join(directory, kept);
  await onDisk(directory, async () => {
    const copy = createWriteStream(`${path}.new`, { mode: 0o600, flush: true });
    await pipeline(createReadStream(join(directory, file), { start }), copy);
    await renameFile(`${path}.new`, path);
  });
}

async function sizeOf(directory: string, name: string): Promise<number | undefined> {
  return await onDisk(directory, async () => {
    try {
      return (await stat(join(directory, name))).size;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  });
}

function refusal(directory: string, fault: string): SkeinError {
  const fix = 'see `skein audit verify`; to begin a new log, move that directory away and keep it';
  return new SkeinError('disk-failed', `the audit log in ${directory} ${fault}; ${fix}`);
}
