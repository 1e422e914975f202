import { invariant } from '../errors/invariant.ts';
import { SkeinError } from '../errors/skein-error.ts';

/** Most levels of nesting: deeper than any message. */
const maxDepth = 16;
/** Most entries of one map. */
const maxMapEntries = 4096;
/** Most maps and arrays in one value: a manifest of the greatest model has three for each section. */
const maxContainers = 262_144;
/** Most values of any kind, map keys included, by default: twice as many as the longest prompt has tokens. */
const defaultMaxValues = 2_097_152;

/**
 * Checks that bytes are one MessagePack value that is safe to decode: of plain types (nil, booleans, numbers, text,
 * bytes, arrays, maps), and not far larger in memory than the bytes, of which one can stand for a map. Extension types
 * are refused, since their decoders build whatever the bytes say, and some read the same bytes again and again.
 *
 * @param maxValues most values of any kind, map keys included
 * @throws SkeinError `protocol-violation` when the bytes are anything else
 */
export function assertDecodable(bytes: Uint8Array, maxValues: number = defaultMaxValues): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.byteLength;
  /** By depth: values still to come in the container there. */
  const due: number[] = [];
  let [at, values, containers, left] = [0, 0, 0, 1];
  while (left > 0 || due.length > 0) {
    if (left === 0) {
      left = invariant(due.pop(), 'a container is open until all of it has come');
      continue;
    }
    left -= 1;
    values += 1;
    if (at >= end || values > maxValues) throw refused();
    const { next, items } = read(view, at);
    // Each item takes a byte at least.
    if (next > end || items > end - next) throw refused();
    at = next;
    if (items < 0) continue;
    containers += 1;
    if (containers > maxContainers || due.length >= maxDepth) throw refused();
    due.push(left);
    left = items;
  }
  if (at !== end) throw refused();
}

/**
 * Returns where the value at an offset ends, or where its items begin, with the number of items; -1 for values without
 * any.
 */
function read(view: DataView, at: number): { readonly next: number; readonly items: number } {
  const type = view.getUint8(at);
  if (type <= 0x7f || type >= 0xe0) return plain(at + 1);
  if (type <= 0x8f) return map(at + 1, type & 0x0f);
  if (type <= 0x9f) return { next: at + 1, items: type & 0x0f };
  if (type <= 0xbf) return plain(at + 1 + (type & 0x1f));
  const room = view.byteLength - at - 1;
  const length = (size: 1 | 2 | 4): number => {
    if (room < size) throw refused();
    if (size === 1) return view.getUint8(at + 1);
    return size === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  };
  switch (type) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return plain(at + 1);
    case 0xcc:
    case 0xd0:
      return plain(at + 2);
    case 0xcd:
    case 0xd1:
      return plain(at + 3);
    case 0xca:
    case 0xce:
    case 0xd2:
      return plain(at + 5);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return plain(at + 9);
    case 0xc4:
    case 0xd9:
      return plain(at + 2 + length(1));
    case 0xc5:
    case 0xda:
      return plain(at + 3 + length(2));
    case 0xc6:
    case 0xdb:
      return plain(at + 5 + length(4));
    case 0xdc:
      return { next: at + 3, items: length(2) };
    case 0xdd:
      return { next: at + 5, items: length(4) };
    case 0xde:
      return map(at + 3, length(2));
    case 0xdf:
      return map(at + 5, length(4));
    default:
      // Extension types, and the one byte that means nothing. JavaScript's undefined is an extension, too: it is left out.
      throw refused();
  }
}

function plain(next: number): { readonly next: number; readonly items: number } {
  return { next, items: -1 };
}

function map(next: number, entries: number): { readonly next: number; readonly items: number } {
  if (entries > maxMapEntries) throw refused();
  return { next, items: 2 * entries };
}

function refused(): SkeinError {
  return new SkeinError('protocol-violation', 'not a MessagePack value of plain types and bounded size');
}
