import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { parseHeader } from './parse-header.ts';
import { arraySchema } from './array-schema.ts';
import { assertDecodable } from './assert-decodable.ts';
import { decodeValue, encodeValue } from './frame.ts';

const violation = expect.objectContaining({ code: 'protocol-violation' });

/** A value's bytes with a head in front. */
const bytes = (...parts: (number | Uint8Array)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : part)));
const uint32 = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

describe('what may be decoded', () => {
  it('is everything that we encode', () => {
    const value = {
      numbers: [
        0,
        1,
        127,
        128,
        255,
        256,
        65_536,
        2 ** 32,
        2 ** 53 - 1,
        -1,
        -32,
        -33,
        -129,
        -40_000,
        -(2 ** 40),
        1.5,
        -0.1,
      ],
      texts: ['', 'a', 'x'.repeat(40), 'x'.repeat(300), 'ä'.repeat(40_000)],
      bytes: [new Uint8Array(0), new Uint8Array(300), new Uint8Array(70_000)],
      lists: [[], Array.from({ length: 20 }, (_, index) => index), Array.from({ length: 70_000 }, () => null)],
      maps: [{}, Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, true]))],
      no: false,
    };
    expect(decodeValue(encodeValue({ ...value, nothing: undefined }))).toEqual(value);
  });

  it.each([
    ['nothing', bytes()],
    ['half a value', bytes(0xdb, uint32(100), 0x61)],
    ['half a length', bytes(0xdb, 0, 0)],
    ['something behind it', bytes(0x01, 0x02)],
    ['more items than there are bytes', bytes(0xdd, uint32(0xffff_ffff), new Uint8Array(1000))],
    ['the byte that means nothing', bytes(0xc1)],
    ['a map of many entries', bytes(0xdf, uint32(5000), new Uint8Array(10_000))],
    ['deep nesting', bytes(...Array.from({ length: 40 }, () => 0x91), 0xc0)],
    ['a million maps, a byte each', bytes(0xdd, uint32(1_000_000), new Uint8Array(1_000_000).fill(0x80))],
    ['three million numbers', bytes(0xdd, uint32(3_000_000), new Uint8Array(3_000_000))],
  ])('is not %s', (_, encoded) => {
    expect(() => assertDecodable(encoded)).toThrow(violation);
    expect(() => decodeValue(encoded)).toThrow(violation);
  });

  it('is no extension type, of any kind', () => {
    for (let type = 0; type < 256; type += 1) {
      for (const encoded of [bytes(0xd4, type, 0), bytes(0xd6, type, uint32(0), 0xc0), bytes(0xc7, 1, type, 0)]) {
        expect(() => decodeValue(encoded)).toThrow(violation);
      }
    }
    const packr = new Packr({ moreTypes: true, structuredClone: true });
    for (const value of [new Set([1]), new Date(), /a/, new Error('x'), undefined]) {
      expect(() => decodeValue(packr.pack([value]))).toThrow(violation);
    }
  });

  it('is no text that is written once and read over and over', () => {
    const count = 1000;
    const strings = bytes(0xdb, uint32(1000), Buffer.alloc(1000, 'a'));
    const references = Buffer.concat(Array.from({ length: count }, () => bytes(0xd6, 0x62, uint32(100), 0xc0)));
    expect(() => decodeValue(bytes(0xdd, uint32(count + 2), references, strings, strings))).toThrow(violation);
  });
});

it('an array of too many elements is refused for their number, whatever they are', () => {
  const schema = z.object({ stop: arraySchema(z.string(), { least: 1, most: 2 }) });
  expect(parseHeader(schema, { stop: ['a', 'b'] })).toEqual({ stop: ['a', 'b'] });
  expect(schema.safeParse({ stop: Array.from({ length: 100_000 }, () => 1) }).error?.issues).toHaveLength(1);
  expect(schema.safeParse({ stop: [] }).success).toBe(false);
  expect(schema.safeParse({ stop: [1, 'b'] }).error?.issues[0]?.path).toEqual(['stop', 0]);
});
