import { limits, SkeinError } from '@skein/protocol';

import { memorySource, type ByteSource } from './byte-source.ts';
import { Cursor } from './cursor.ts';
import { tensorBytes, tensorType } from './tensor-types.ts';
import { decodeFixed, fixedWidths, valueTypeName, type Value, type ValueType } from './value-types.ts';

/** One key of the metadata, and the place of its entry (key, type, value) in the file. */
export interface MetadataEntry {
  readonly name: string;
  readonly type: ValueType;
  /** Offset of the entry, in bytes from the start of the file. */
  readonly offset: number;
  /** Length of the whole entry, so that it can be copied verbatim. */
  readonly bytes: number;
  /** Number of elements of an array; absent for other types. */
  readonly count?: number;
  /** The decoded value; absent for long strings, big arrays and arrays of strings, of which only the range is known. */
  readonly value?: Value;
}

/** One tensor, and the place of its data in the file. */
export interface TensorEntry {
  readonly name: string;
  /** ggml type number. */
  readonly type: number;
  /** Elements per dimension, fastest-varying first (ggml's `ne`). */
  readonly shape: readonly number[];
  /** Offset of the data, in bytes from the start of the file. */
  readonly offset: number;
  /** Size of the data, without padding. */
  readonly bytes: number;
}

/** The contents of a GGUF with their places. */
export interface GgufLayout {
  readonly version: number;
  /** Metadata entries in file order. */
  readonly metadata: ReadonlyMap<string, MetadataEntry>;
  /** Tensors in file order, which is offset order. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Alignment of tensor data: each tensor starts at a multiple of this many bytes. */
  readonly alignment: number;
  /** Start of tensor data, in bytes from the start of the file. */
  readonly dataOffset: number;
}

/**
 * Bounds on the memory that a header can claim; llama.cpp takes more in places, so a file beyond them is not damaged.
 * Real models stay far below: the biggest have about 2,000 tensors.
 */
const bounds = Object.freeze({
  entries: limits.maxSections,
  keyBytes: limits.maxNameLength,
  /** GGML_MAX_NAME with its terminator; llama.cpp refuses longer ones. */
  tensorNameBytes: 63,
  /** Longest string that is decoded, in bytes; chat templates take tens of kilobytes. Longer ones are skipped. */
  stringBytes: 1024 * 1024,
  /** Most elements of an array that is decoded: one value per layer. Token lists are skipped. */
  arrayElements: limits.maxLayers,
  alignment: 64 * 1024,
} as const);

const magic = 0x46554747; // 'GGUF', little endian
const defaultAlignment = 32;
const strictDecoder = new TextDecoder('utf-8', { fatal: true });
const lenientDecoder = new TextDecoder('utf-8');

/**
 * Reads the layout of a GGUF (version 2 or 3, little endian): every key and tensor with its byte range, and small
 * values.
 *
 * node-llama-cpp can parse GGUF too (`readGgufFileInfo`), but Skein needs the byte range of each key, to copy and hash
 * it alone, and hard bounds, as files and slices come from other peers. So this reader trusts no number in the file: it
 * checks counts and lengths before allocation, and tensors must lie one after another inside the file, as llama.cpp
 * demands. It takes the files that llama.cpp takes: texts need not be UTF-8; other bytes read as U+FFFD.
 *
 * @throws SkeinError `model-invalid` when the file is damaged, truncated, of an unknown kind, or beyond Skein's bounds;
 * the message names the fix
 */
export async function readGgufLayout(source: ByteSource): Promise<GgufLayout> {
  const cursor = new Cursor(source);
  const { version, tensorCount, metadataCount } = await readPreamble(cursor);
  const metadata = new Map<string, MetadataEntry>();
  for (let index = 0; index < metadataCount; index++) {
    const entry = await readMetadataEntry(cursor);
    if (metadata.has(entry.name)) throw invalid(`its metadata has the key ${quote(entry.name)} twice`);
    metadata.set(entry.name, entry);
  }
  const alignment = alignmentOf(metadata.get('general.alignment')?.value);
  const infos: TensorInfo[] = [];
  for (let index = 0; index < tensorCount; index++) infos.push(await readTensorInfo(cursor));
  const dataOffset = Math.ceil(cursor.offset / alignment) * alignment;
  return { version, metadata, tensors: placeTensors(infos, { alignment, dataOffset, source }), alignment, dataOffset };
}

/**
 * Decodes one metadata entry that was copied out of a GGUF.
 *
 * @throws SkeinError `model-invalid` when the bytes are not exactly one entry
 */
export async function decodeMetadataEntry(content: Uint8Array): Promise<MetadataEntry> {
  const cursor = new Cursor(memorySource(content));
  const entry = await readMetadataEntry(cursor);
  if (cursor.remaining > 0) throw invalid(`the metadata entry ${quote(entry.name)} is followed by stray bytes`);
  return entry;
}

async function readPreamble(cursor: Cursor) {
  const view = await cursor.take(24, 'the GGUF header');
  if (view.getUint32(0, true) !== magic) {
    throw new SkeinError(
      'model-invalid',
      'not a GGUF file: it does not start with "GGUF"; convert the model to GGUF first',
    );
  }
  const version = view.getUint32(4, true);
  if (version !== 2 && version !== 3) {
    // A big-endian file shows its version in the upper bytes.
    const reason = (version & 0xffff) === 0 ? 'it is big endian' : `it has GGUF version ${version}`;
    throw new SkeinError(
      'model-invalid',
      `cannot read the file: ${reason}; versions 2 and 3, little endian, are supported`,
    );
  }
  return {
    version,
    tensorCount: entryCount(view.getBigUint64(8, true), 'tensors'),
    metadataCount: entryCount(view.getBigUint64(16, true), 'metadata keys'),
  };
}

async function readMetadataEntry(cursor: Cursor): Promise<MetadataEntry> {
  const offset = cursor.offset;
  const name = await readString(cursor, bounds.keyBytes, 'a metadata key');
  const type = await readType(cursor, name);
  const content = await readValue(cursor, type, name);
  return { name, type, offset, bytes: cursor.offset - offset, ...content };
}

async function readValue(cursor: Cursor, type: ValueType, name: string): Promise<{ value?: Value; count?: number }> {
  if (type === 'array') return readArray(cursor, name);
  if (type === 'string') {
    const length = await readLength(cursor, name);
    if (length <= bounds.stringBytes) return { value: lenientDecoder.decode(await cursor.take(length, quote(name))) };
    cursor.skip(length, quote(name));
    return {};
  }
  return { value: decodeFixed(await cursor.take(fixedWidths[type], quote(name)), 0, type) };
}

async function readArray(cursor: Cursor, name: string): Promise<{ value?: Value; count: number }> {
  const type = await readType(cursor, name);
  if (type === 'array') throw invalid(`${quote(name)} is an array of arrays`);
  const count = await readLength(cursor, name);
  if (type === 'string') return skipStrings(cursor, count, name);
  const width = fixedWidths[type];
  if (count > bounds.arrayElements) {
    cursor.skip(count * width, quote(name));
    return { count };
  }
  const view = await cursor.take(count * width, quote(name));
  return { count, value: Array.from({ length: count }, (_, index) => decodeFixed(view, index * width, type)) };
}

/** Skips an array of strings: only token lists would be of use, and llama.cpp reads those itself. */
async function skipStrings(cursor: Cursor, count: number, name: string): Promise<{ count: number }> {
  // Each string has at least its length field: a count that cannot fit is refused before the loop.
  if (count * 8 > cursor.remaining) cursor.skip(count * 8, quote(name));
  const what = quote(name);
  for (let index = 0; index < count; index++) {
    // Vocabularies have 100,000 strings and more: a promise for each would be many times the work, and megabytes of garbage.
    const view = cursor.takeFetched(8) ?? (await cursor.take(8, what));
    cursor.skip(safe(view.getBigUint64(0, true), name), what);
  }
  return { count };
}

interface TensorInfo extends Omit<TensorEntry, 'offset'> {
  /** Offset from the start of the data section, in bytes, as the file claims. */
  readonly claimedOffset: number;
}

async function readTensorInfo(cursor: Cursor): Promise<TensorInfo> {
  const name = await readString(cursor, bounds.tensorNameBytes, 'a tensor name');
  const dimensions = (await cursor.take(4, `tensor ${quote(name)}`)).getUint32(0, true);
  if (dimensions > 4) throw invalid(`tensor ${quote(name)} has ${dimensions} dimensions, at most 4 are possible`);
  const view = await cursor.take(dimensions * 8 + 12, `tensor ${quote(name)}`);
  const shape = Array.from({ length: dimensions }, (_, index) => safe(view.getBigUint64(index * 8, true), name));
  if (shape.length === 0) shape.push(1);
  const type = view.getUint32(dimensions * 8, true);
  if (tensorType(type) === undefined) {
    throw new SkeinError(
      'model-invalid',
      `tensor ${quote(name)} has ggml type ${type}, which this llama.cpp does not know; use another quantization`,
    );
  }
  const bytes = tensorBytes(type, shape);
  if (bytes === undefined) throw invalid(`tensor ${quote(name)} has an impossible shape (${shape.join(' × ')})`);
  return { name, type, shape, bytes, claimedOffset: safe(view.getBigUint64(dimensions * 8 + 4, true), name) };
}

/**
 * Checks that tensors lie one after another, padded to the alignment, inside the file: llama.cpp demands it, and it
 * rules out overlap.
 */
function placeTensors(
  infos: readonly TensorInfo[],
  file: { alignment: number; dataOffset: number; source: ByteSource },
): ReadonlyMap<string, TensorEntry> {
  const tensors = new Map<string, TensorEntry>();
  let expected = 0;
  for (const { claimedOffset, ...info } of infos) {
    if (tensors.has(info.name)) throw invalid(`it has the tensor ${quote(info.name)} twice`);
    if (claimedOffset !== expected) {
      throw invalid(`tensor ${quote(info.name)} is at ${claimedOffset} of the data section instead of ${expected}`);
    }
    const offset = file.dataOffset + claimedOffset;
    const end = offset + info.bytes;
    if (end > file.source.bytes) {
      throw new SkeinError(
        'model-invalid',
        `the file is truncated: ${end} bytes expected up to tensor ${quote(info.name)}, ${file.source.bytes} found; pull it again`,
      );
    }
    tensors.set(info.name, { ...info, offset });
    expected += Math.ceil(info.bytes / file.alignment) * file.alignment;
  }
  return tensors;
}

async function readString(cursor: Cursor, maximumBytes: number, what: string): Promise<string> {
  const length = await readLength(cursor, what);
  if (length === 0) throw invalid(`${what} is empty`);
  if (length > maximumBytes) throw beyond(`${what} is ${length} bytes long, at most ${maximumBytes} are accepted`);
  return decodeName(await cursor.take(length, what));
}

async function readLength(cursor: Cursor, what: string): Promise<number> {
  return safe((await cursor.take(8, quote(what))).getBigUint64(0, true), what);
}

async function readType(cursor: Cursor, name: string): Promise<ValueType> {
  const number = (await cursor.take(4, quote(name))).getUint32(0, true);
  const type = valueTypeName(number);
  if (type === undefined) throw invalid(`${quote(name)} has the unknown value type ${number}`);
  return type;
}

/** Decodes a name. One that is not UTF-8 is read byte by byte, so that two different ones stay different. */
function decodeName(view: DataView): string {
  try {
    return strictDecoder.decode(view);
  } catch {
    return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('latin1');
  }
}

function entryCount(count: bigint, what: string): number {
  if (count > BigInt(bounds.entries))
    throw beyond(`it claims ${count} ${what}, at most ${bounds.entries} are accepted`);
  return Number(count);
}

function alignmentOf(value: Value | undefined): number {
  if (value === undefined) return defaultAlignment;
  if (typeof value !== 'number' || value < 1 || !Number.isInteger(Math.log2(value))) {
    throw invalid('its alignment is not a power of two');
  }
  if (value > bounds.alignment) throw beyond(`its alignment is ${value}, at most ${bounds.alignment} is accepted`);
  return value;
}

/**
 * Turns a 64-bit count into a number. The bound is far above any file, so that sums and products of checked numbers
 * stay exact.
 */
function safe(value: bigint, what: string): number {
  if (value <= 0xffff_ffff_ffffn) return Number(value);
  throw invalid(`${quote(what)} has the impossible length ${value}`);
}

function quote(name: string): string {
  return `"${name}"`;
}

function invalid(reason: string, cause?: unknown): SkeinError {
  return new SkeinError('model-invalid', `the file is damaged: ${reason}; pull it again`, { cause });
}

/** Makes the error for a file that may be fine, where pulling it again would not help. */
function beyond(reason: string): SkeinError {
  return new SkeinError('model-invalid', `the file is beyond what Skein takes: ${reason}; choose another file`);
}
