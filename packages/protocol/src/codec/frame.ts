import { Packr } from 'msgpackr';

import { SkeinError } from '../errors/skein-error.ts';
import { limits } from '../limits.ts';
import { assertDecodable } from './assert-decodable.ts';

/**
 * A frame: a structured header and, for hidden rows and model bytes, a raw payload.
 *
 *     u32 LE  length of what follows
 *     u32 LE  length of the header
 *     header  MessagePack map
 *     payload the rest, may be empty
 *
 * Streams between peers and the pipe between a peer and its engine carry the same frames, so one can be joined to the
 * other byte by byte.
 */
export interface Frame {
  /** The decoded header, unchecked: pass it through a schema before use. */
  readonly header: unknown;
  /** The payload, a view of the received bytes and not a copy. */
  readonly payload: Uint8Array;
}

const prefixBytes = 8;
/** Bytes of a header for each value that it may have: most of the time of decoding goes by values. */
const bytesPerValue = 4;
const emptyPayload = new Uint8Array(0);

// Plain maps and no extension types. `assertDecodable` looks at input before: these options do not keep msgpackr
// from decoding extensions.
const options = {
  useRecords: false,
  structuredClone: false,
  mapsAsObjects: true,
  // The shortest form, so that a value has one encoding only: manifests are named by the hash of theirs.
  variableMapSize: true,
  // `undefined` would be an extension.
  skipValues: [undefined],
  useBigIntExtension: false,
  int64AsType: 'number' as const,
  moreTypes: false,
};
const packr = new Packr(options);

/** Encodes a frame. Copies the payload once, into the returned buffer. */
export function encodeFrame(header: object, payload: Uint8Array = emptyPayload): Uint8Array {
  return encodeAll(header, { payload, payloadBytes: payload.byteLength });
}

/** Encodes the part of a frame before its payload, for payloads that are too large to copy. */
export function encodeFrameHead(header: object, payloadBytes: number): Uint8Array {
  return encodeAll(header, { payload: emptyPayload, payloadBytes });
}

function encodeAll(
  header: object,
  { payload, payloadBytes }: { readonly payload: Uint8Array; readonly payloadBytes: number },
): Uint8Array {
  const packed = packr.pack(header);
  const encoded = new Uint8Array(prefixBytes + packed.byteLength + payload.byteLength);
  const view = new DataView(encoded.buffer);
  view.setUint32(0, prefixBytes - 4 + packed.byteLength + payloadBytes, true);
  view.setUint32(4, packed.byteLength, true);
  encoded.set(packed, prefixBytes);
  encoded.set(payload, prefixBytes + packed.byteLength);
  return encoded;
}

/**
 * Decodes the body of a frame (everything after its first four bytes). The payload is a view of `body`.
 *
 * @throws SkeinError `protocol-violation` when the body is malformed, `frame-too-large` when its header is over
 * `maxHeaderBytes`
 */
export function decodeFrameBody(body: Uint8Array, maxHeaderBytes: number = limits.maxHeaderBytes): Frame {
  if (body.byteLength < 4) throw new SkeinError('protocol-violation', 'a frame is too short to hold its header length');
  const headerBytes = new DataView(body.buffer, body.byteOffset, 4).getUint32(0, true);
  if (4 + headerBytes > body.byteLength) {
    throw new SkeinError('protocol-violation', `a frame claims a header of ${headerBytes} bytes, more than it holds`);
  }
  if (headerBytes > maxHeaderBytes) {
    throw new SkeinError('frame-too-large', `a header of ${headerBytes} bytes is over the limit of ${maxHeaderBytes}`);
  }
  const header = decodeValue(body.subarray(4, 4 + headerBytes), { maxValues: maxHeaderBytes / bytesPerValue });
  return { header, payload: body.subarray(4 + headerBytes) };
}

/** Encodes a value on its own, e.g. for signing or hashing. The same input gives the same bytes. */
export function encodeValue(value: object): Uint8Array {
  return new Uint8Array(packr.pack(value));
}

/**
 * Decodes a value that stands on its own.
 *
 * @param options.maxValues most values of any kind; default: that of {@link assertDecodable}
 * @throws SkeinError `protocol-violation` when {@link assertDecodable} refuses the bytes or they are not valid
 * MessagePack
 */
export function decodeValue(bytes: Uint8Array, { maxValues }: { readonly maxValues?: number } = {}): unknown {
  assertDecodable(bytes, maxValues);
  try {
    return packr.unpack(bytes);
  } catch (error) {
    throw new SkeinError('protocol-violation', 'not valid MessagePack', { cause: error });
  }
}
