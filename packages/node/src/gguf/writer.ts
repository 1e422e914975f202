import { tensorBytes } from './tensor-types.ts';
import { encodeFixed, valueTypeNumbers, type ElementType, type Scalar, type ValueType } from './value-types.ts';

/** A metadata entry to write: encoded here as `content`, or `bytes` long and put at its offset by the caller. */
export type EntryToWrite = { readonly content: Uint8Array } | { readonly bytes: number };

export interface TensorToWrite {
  readonly name: string;
  /** ggml type number. */
  readonly type: number;
  /** Elements per dimension, fastest-varying first. */
  readonly shape: readonly number[];
}

/** Bytes with their place, in bytes from the start of the file. */
export interface Placed {
  readonly offset: number;
  readonly content: Uint8Array;
}

/** The places of all parts of a GGUF to write. Bytes outside every part are padding and stay zero. */
export interface GgufPlan {
  /** The parts of the header that are known already. */
  readonly parts: readonly Placed[];
  /** Offset of each metadata entry, in the order given. */
  readonly entryOffsets: readonly number[];
  /** Offset of each tensor's data, in the order given. */
  readonly tensorOffsets: readonly number[];
  /** Size of the whole file, final padding included. */
  readonly bytes: number;
}

const encoder = new TextEncoder();
const version = 3;

/**
 * Lays a GGUF out: the caller writes {@link GgufPlan.parts}, its verbatim entries and its tensors' data, in any order,
 * and makes the file `bytes` long. So files of any size are written with nothing big in memory.
 *
 * @throws RangeError when a tensor's shape does not fit its type: a bug of the caller
 */
export function planGguf(options: {
  readonly entries: readonly EntryToWrite[];
  readonly tensors: readonly TensorToWrite[];
  /** Bytes; the metadata's `general.alignment` must say the same unless it is 32. */
  readonly alignment: number;
}): GgufPlan {
  const { entries, tensors, alignment } = options;
  const parts: Placed[] = [{ offset: 0, content: encodePreamble(tensors.length, entries.length) }];
  const entryOffsets: number[] = [];
  let offset = 24;
  for (const entry of entries) {
    entryOffsets.push(offset);
    if ('content' in entry) parts.push({ offset, content: entry.content });
    offset += 'content' in entry ? entry.content.byteLength : entry.bytes;
  }

  const dataOffsets: number[] = [];
  let dataBytes = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor.type, tensor.shape);
    if (bytes === undefined)
      throw new RangeError(`tensor ${tensor.name}: ${tensor.shape.join(' × ')} of type ${tensor.type}`);
    const info = encodeTensorInfo(tensor, dataBytes);
    parts.push({ offset, content: info });
    offset += info.byteLength;
    dataOffsets.push(dataBytes);
    dataBytes += alignUp(bytes, alignment);
  }
  const dataOffset = alignUp(offset, alignment);
  return {
    parts,
    entryOffsets,
    tensorOffsets: dataOffsets.map((relative) => dataOffset + relative),
    bytes: dataOffset + dataBytes,
  };
}

/** Encodes a scalar metadata entry as GGUF stores it. */
export function encodeEntry(name: string, type: ElementType, value: Scalar): Uint8Array {
  return concatenate([encodeString(name), encodeType(type), encodeScalar(type, value)]);
}

/** Encodes an array metadata entry as GGUF stores it. */
export function encodeArrayEntry(name: string, type: ElementType, values: readonly Scalar[]): Uint8Array {
  const elements = values.map((value) => encodeScalar(type, value));
  return concatenate([
    encodeString(name),
    encodeType('array'),
    encodeType(type),
    encodeScalar('uint64', values.length),
    ...elements,
  ]);
}

function encodeScalar(type: ElementType, value: Scalar): Uint8Array {
  if (type === 'string') return encodeString(String(value));
  return encodeFixed(type, value);
}

function encodeString(text: string): Uint8Array {
  const content = encoder.encode(text);
  return concatenate([encodeScalar('uint64', content.byteLength), content]);
}

function encodeType(type: ValueType): Uint8Array {
  return encodeScalar('uint32', valueTypeNumbers[type]);
}

function encodePreamble(tensorCount: number, entryCount: number): Uint8Array {
  return concatenate([
    encoder.encode('GGUF'),
    encodeScalar('uint32', version),
    encodeScalar('uint64', tensorCount),
    encodeScalar('uint64', entryCount),
  ]);
}

function encodeTensorInfo(tensor: TensorToWrite, dataOffset: number): Uint8Array {
  return concatenate([
    encodeString(tensor.name),
    encodeScalar('uint32', tensor.shape.length),
    ...tensor.shape.map((extent) => encodeScalar('uint64', extent)),
    encodeScalar('uint32', tensor.type),
    encodeScalar('uint64', dataOffset),
  ]);
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}
