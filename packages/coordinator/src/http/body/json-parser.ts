import { invariant, SkeinError } from '@skein/protocol';

import { stringPiece } from './json-string.ts';

/** Deepest nesting, more than any request has: a JSON schema nests two levels for each object in an object. */
const maxDepth = 128;
/** Most objects and arrays in one body: several for each message of the longest conversation. */
const maxContainers = 32_768;
/** Most values of any kind, keys included: the token ids of the longest prompt, and what stands around them. */
const maxValues = 1_048_576 + maxContainers;
/** Most entries of one object, and longest key. */
const maxEntries = 4096;
const maxKeyBytes = 4096;
/** Longest number: no double has so many digits when it is written out. */
const maxNumberBytes = 400;

/** Work of one call of {@link JsonParser.advance}: a few milliseconds on a slow machine. */
export const workPerAdvance = Object.freeze({ bytes: 128 * 1024, values: 2048 });

const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const colon = 0x3a;
const openArray = 0x5b;
const closeArray = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;
const literals = new Map<number, { readonly text: string; readonly value: boolean | null }>([
  [0x66, { text: 'false', value: false }],
  [0x6e, { text: 'null', value: null }],
  [0x74, { text: 'true', value: true }],
]);

type Container = OpenArray | OpenObject;
interface OpenArray {
  readonly array: unknown[];
}
interface OpenObject {
  readonly object: Record<string, unknown>;
  /** Key of the next value. */
  key: string;
  entries: number;
}

/** The part of JSON that may come next. After an opening bracket, its closing one may, too. */
type Expected = 'first-value' | 'value' | 'first-key' | 'key' | 'colon' | 'comma-or-end' | 'nothing';

/**
 * A parser of JSON that works in steps, so that a long body does not hold the event loop, and that refuses bodies whose
 * values take far more memory than their bytes before it builds them. The result is that of `JSON.parse`.
 */
export class JsonParser {
  readonly #bytes: Buffer;
  /** Open containers, the innermost one last. */
  readonly #open: Container[] = [];
  #at: number;
  #expected: Expected = 'value';
  /** Pieces read of an unfinished string; undefined outside strings. */
  #pieces: string[] | undefined;
  #values = 0;
  #containers = 0;
  #result: unknown;

  /** @param bytes valid UTF-8; a byte order mark is skipped */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  }

  /** The parsed value, once {@link advance} has returned true. */
  get result(): unknown {
    return this.#result;
  }

  /**
   * Does one step. Returns true at the end.
   *
   * @throws SkeinError `invalid-request` for bytes that are not JSON, or hold too many values
   */
  advance(): boolean {
    const { length } = this.#bytes;
    const untilByte = Math.min(this.#at + workPerAdvance.bytes, length);
    const untilValue = this.#values + workPerAdvance.values;
    while (this.#at < untilByte && this.#values < untilValue) {
      const byte = invariant(this.#bytes[this.#at], 'the end is not reached');
      if (this.#pieces !== undefined) this.#readString(this.#pieces);
      else if (isSpace(byte)) this.#at += 1;
      else this.#readToken(byte);
    }
    if (this.#at < length) return false;
    if (this.#expected !== 'nothing') throw this.#refused();
    return true;
  }

  #readToken(byte: number): void {
    switch (this.#expected) {
      case 'first-value':
        if (byte === closeArray) return this.#close();
        return this.#beginValue(byte);
      case 'value':
        return this.#beginValue(byte);
      case 'first-key':
        if (byte === closeObject) return this.#close();
        return this.#readKey(byte);
      case 'key':
        return this.#readKey(byte);
      case 'colon':
        return this.#readMark(byte, { mark: colon, next: 'value' });
      case 'comma-or-end': {
        const isArray = isOpenArray(this.#innermost());
        if (byte === (isArray ? closeArray : closeObject)) return this.#close();
        return this.#readMark(byte, { mark: comma, next: isArray ? 'value' : 'key' });
      }
      case 'nothing':
        throw this.#refused();
    }
  }

  #readMark(byte: number, { mark, next }: { readonly mark: number; readonly next: Expected }): void {
    if (byte !== mark) throw this.#refused();
    this.#at += 1;
    this.#expected = next;
  }

  #beginValue(byte: number): void {
    this.#count();
    switch (byte) {
      case quote:
        this.#at += 1;
        this.#pieces = [];
        return;
      case openObject:
        return this.#openContainer({ object: {}, key: '', entries: 0 }, 'first-key');
      case openArray:
        return this.#openContainer({ array: [] }, 'first-value');
      default:
        return this.#add(byte === minus || isDigit(byte) ? this.#readNumber() : this.#readLiteral(byte));
    }
  }

  #count(): void {
    this.#values += 1;
    if (this.#values > maxValues) throw tooMany(`more than ${maxValues} values`);
  }

  #openContainer(container: Container, expected: Expected): void {
    this.#containers += 1;
    if (this.#containers > maxContainers) throw tooMany(`more than ${maxContainers} objects and arrays`);
    if (this.#open.length >= maxDepth) throw tooMany(`objects and arrays more than ${maxDepth} deep in one another`);
    this.#at += 1;
    this.#open.push(container);
    this.#expected = expected;
  }

  #close(): void {
    this.#at += 1;
    const container = this.#innermost();
    this.#open.pop();
    this.#add(isOpenArray(container) ? container.array : container.object);
  }

  #innermost(): Container {
    const container = this.#open.at(-1);
    if (container === undefined) throw this.#refused();
    return container;
  }

  /** Puts a complete value in its place. */
  #add(value: unknown): void {
    const container = this.#open.at(-1);
    this.#expected = container === undefined ? 'nothing' : 'comma-or-end';
    if (container === undefined) this.#result = value;
    else if (isOpenArray(container)) container.array.push(value);
    else setOwn(container.object, container.key, value);
  }

  #readKey(byte: number): void {
    const container = this.#innermost();
    if (byte !== quote || isOpenArray(container)) throw this.#refused();
    this.#count();
    container.entries += 1;
    if (container.entries > maxEntries) throw tooMany(`an object of more than ${maxEntries} entries`);
    this.#at += 1;
    const { text, isLast } = this.#readPiece(maxKeyBytes);
    if (!isLast) throw tooMany(`a key of more than ${maxKeyBytes} bytes`);
    container.key = text;
    this.#expected = 'colon';
  }

  #readString(pieces: string[]): void {
    const { text, isLast } = this.#readPiece(workPerAdvance.bytes);
    pieces.push(text);
    if (!isLast) return;
    this.#pieces = undefined;
    this.#add(pieces.join(''));
  }

  #readPiece(maxBytes: number): { readonly text: string; readonly isLast: boolean } {
    try {
      const piece = stringPiece(this.#bytes, { from: this.#at, maxBytes });
      this.#at = piece.next;
      return piece;
    } catch {
      throw this.#refused();
    }
  }

  #readNumber(): number {
    const bytes = this.#bytes;
    const start = this.#at;
    let end = start;
    let whole = 0;
    for (let byte = bytes[end]; isDigit(byte); byte = bytes[end]) {
      whole = whole * 10 + (byte - 0x30);
      end += 1;
    }
    const isWhole = !isNumberPart(bytes[end]);
    // Token ids, of which there may be a million: exact up to 15 digits, and a leading zero is no JSON.
    if (isWhole && end > start && end - start <= 15 && (bytes[start] !== 0x30 || end - start === 1)) {
      this.#at = end;
      return whole;
    }
    while (isNumberPart(bytes[end]) && end - start <= maxNumberBytes) end += 1;
    if (end - start > maxNumberBytes) throw tooMany(`a number of more than ${maxNumberBytes} characters`);
    try {
      const number = JSON.parse(bytes.toString('latin1', start, end)) as number;
      this.#at = end;
      return number;
    } catch {
      throw this.#refused();
    }
  }

  #readLiteral(byte: number): boolean | null {
    const literal = literals.get(byte);
    if (literal === undefined) throw this.#refused();
    const { text, value } = literal;
    if (this.#bytes.toString('latin1', this.#at, this.#at + text.length) !== text) throw this.#refused();
    this.#at += text.length;
    return value;
  }

  #refused(): SkeinError {
    return new SkeinError('invalid-request', `the request body is not valid JSON, at byte ${this.#at}`);
  }
}

function isOpenArray(container: Container): container is OpenArray {
  return 'array' in container;
}

/** Sets a property as `JSON.parse` does: `__proto__` is a name like any other. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number | undefined): byte is number {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Tells whether a byte may be part of a number: digits, signs, the point and the letter of an exponent. */
function isNumberPart(byte: number | undefined): boolean {
  return isDigit(byte) || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x45 || byte === 0x65;
}

function tooMany(what: string): SkeinError {
  return new SkeinError('invalid-request', `the request body holds ${what}; send less in one request`);
}
