import type { KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { renameFile } from '@skein/mesh';
import { hasCode, sha256Schema } from '@skein/protocol';
import { z } from 'zod';

import { onDisk } from './files.ts';
import { isSigned, withSignature } from './signature.ts';

export const headName = 'head.json';

/** A log's least extent: the entries that it had when this was written. */
export interface Head {
  /** Number of entries; 0 before the first. */
  readonly entries: number;
  /** Hash of the last of them. */
  readonly hash: string;
}

/** A head as it was read, whoever wrote it. */
export interface StoredHead extends Head {
  isSignedBy(key: KeyObject): boolean;
}

const schema = z.object({ entries: z.number().int().nonnegative(), hash: sha256Schema, time: z.iso.datetime() });

/**
 * Replaces the head as a whole: after a crash or a power cut it is the old one or the new one.
 *
 * @throws SkeinError `disk-failed` when it can't be written
 */
export async function writeHead(
  directory: string,
  { entries, hash, time, key }: Head & { readonly time: string; readonly key: KeyObject },
): Promise<void> {
  const open = JSON.stringify({ entries, hash, time }).slice(0, -1);
  const content = `${withSignature(open, { context: 'skein-audit-head-1:', key })}}\n`;
  const path = join(directory, headName);
  await onDisk(directory, async () => {
    await writeFile(`${path}.new`, content, { mode: 0o600, flush: true });
    await renameFile(`${path}.new`, path);
  });
}

/**
 * Reads the head. Returns undefined where there is none, and `damaged` for a file that is no head.
 *
 * @throws SkeinError `disk-failed` when it can't be read
 */
export async function readHead(directory: string): Promise<StoredHead | 'damaged' | undefined> {
  const content = await onDisk(directory, async () => {
    try {
      return await readFile(join(directory, headName));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  });
  if (content === undefined) return undefined;
  try {
    const { entries, hash } = schema.parse(JSON.parse(content.toString()));
    const isEnded = content.toString('latin1', content.length - 2) === '}\n';
    const text = content.subarray(0, -2);
    return { entries, hash, isSignedBy: (key) => isEnded && isSigned(text, { context: 'skein-audit-head-1:', key }) };
  } catch {
    return 'damaged';
  }
}
