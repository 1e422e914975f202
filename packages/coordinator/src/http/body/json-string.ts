const quote = 0x22;
const backslash = 0x5c;

/** Part of a JSON string. */
export interface StringPiece {
  readonly text: string;
  /** Offset at which the next piece begins or, after the last one, the text behind the string. */
  readonly next: number;
  readonly isLast: boolean;
}

/**
 * Reads a JSON string from a byte within it on, up to its end or `maxBytes`, whichever comes first. A piece ends
 * neither inside a character nor inside an escape.
 *
 * @param bytes valid UTF-8
 * @param range.maxBytes six at least, the longest escape
 * @throws SyntaxError for bytes that no string may hold
 */
export function stringPiece(
  bytes: Buffer,
  { from, maxBytes }: { readonly from: number; readonly maxBytes: number },
): StringPiece {
  const until = Math.min(from + maxBytes, bytes.length);
  let at = from;
  let hasEscapes = false;
  let isAscii = true;
  while (at < until) {
    const byte = bytes[at] ?? quote;
    if (byte === quote) break;
    if (byte < 0x20) throw new SyntaxError('a control character in a string');
    if (byte >= 0x80) isAscii = false;
    if (byte !== backslash) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1] === 0x75 ? 6 : 2;
    if (at + length > until) break;
    hasEscapes = true;
    at += length;
  }
  const isLast = bytes[at] === quote;
  if (!isLast) {
    if (until === bytes.length) throw new SyntaxError('a string without an end');
    while (isContinuation(bytes[at])) at -= 1;
  }
  const text = bytes.toString(isAscii ? 'latin1' : 'utf8', from, at);
  return { text: hasEscapes ? unescape(text) : text, next: isLast ? at + 1 : at, isLast };
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte < 0xc0;
}

function unescape(text: string): string {
  return JSON.parse(`"${text}"`) as string;
}
