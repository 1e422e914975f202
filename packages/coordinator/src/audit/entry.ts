import { hash, type KeyObject } from 'node:crypto';

import { sha256Schema } from '@skein/protocol';
import { z } from 'zod';

import type { LoggedEvent } from './events.ts';
import { isSigned, withSignature } from './signature.ts';

/** The hash before the first entry. */
export const noHash = '0'.repeat(64);

/** Longest line, in bytes: the longest request that the schema allows has room. */
export const maxLineBytes = 128 * 1024;

/** The fields of entries of all types. A newer Skein may write types that are not known here. */
const entrySchema = z.looseObject({
  /** Number from 1, without a gap over all files. */
  seq: z.number().int().positive(),
  /** Time by the coordinator's clock. */
  time: z.iso.datetime(),
  type: z.string().min(1).max(64),
  /** Hash of the entry before it. */
  previous: sha256Schema,
});
export type Entry = z.infer<typeof entrySchema> & { readonly hash: string };

export interface EntryPlace {
  readonly seq: number;
  /** Time in ISO 8601, UTC. */
  readonly time: string;
  readonly previous: string;
}

const hashPattern = /^,"hash":"([0-9a-f]{64})"\}$/;
const hashLength = ',"hash":""}'.length + 64;

/**
 * Encodes an entry as a line, with its hash: the SHA-256 of all bytes of the line before `,"hash":`. Signs a checkpoint
 * with the key.
 */
export function encodeEntry(
  { type, ...fields }: LoggedEvent,
  { seq, time, previous, key }: EntryPlace & { readonly key: KeyObject },
): { readonly line: Buffer; readonly hash: string } {
  const open = JSON.stringify({ seq, time, type, ...fields, previous }).slice(0, -1);
  const text = type === 'checkpoint' ? withSignature(open, { context: 'skein-audit-1:', key }) : open;
  const digest = hash('sha256', text);
  return { line: Buffer.from(`${text},"hash":"${digest}"}\n`), hash: digest };
}

/** Decodes a line without its end. Undefined when any of it is not as it was written. */
export function decodeEntry(line: Buffer): Entry | undefined {
  const digest = hashPattern.exec(line.toString('latin1', Math.max(0, line.length - hashLength)))?.[1];
  if (digest === undefined || hash('sha256', beforeHash(line)) !== digest) return undefined;
  try {
    return entrySchema.parse(JSON.parse(line.toString())) as Entry;
  } catch {
    return undefined;
  }
}

/** Tells whether a checkpoint's line is signed by a key. */
export function isSignedEntry(line: Buffer, key: KeyObject): boolean {
  return isSigned(beforeHash(line), { context: 'skein-audit-1:', key });
}

function beforeHash(line: Buffer): Buffer {
  return line.subarray(0, -hashLength);
}
