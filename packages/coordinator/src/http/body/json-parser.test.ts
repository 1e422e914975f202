import assert from 'node:assert';

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { JsonParser, workPerAdvance } from './json-parser.ts';

function parse(text: string | Buffer): { value: unknown; steps: number } {
  const parser = new JsonParser(Buffer.from(text));
  let steps = 1;
  while (!parser.advance()) steps += 1;
  return { value: parser.result, steps };
}

const changes = Array.from('{}[]:,"\\ -+.eE0123456789truefalsn\0\n\u2028é😀');

/** Returns the outcome of parsing: the value, or that the text is refused. */
function outcomeOf(parseText: () => unknown): unknown {
  try {
    return { value: parseText() };
  } catch (error) {
    return error instanceof SyntaxError || /not valid JSON, at byte \d+$/.test(String(error)) ? 'refused' : error;
  }
}

/** Text of JSON, with white space and escapes of every kind, that may have been cut, or had something put into it. */
const nearlyJson = fc
  .tuple(
    fc.oneof(
      fc.json({ stringUnit: 'binary' }),
      fc.jsonValue().map((value) => JSON.stringify(value, undefined, '\t')),
    ),
    fc.array(fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...changes)), {
      maxLength: 3,
    }),
  )
  .map(([json, made]) => {
    let text = json;
    for (const [place, removed, added] of made) {
      const at = place % (text.length + 1);
      text = text.slice(0, at) + added + text.slice(at + removed);
    }
    // Lone surrogates are no UTF-8.
    return text.toWellFormed();
  });

describe('parsing JSON in steps', () => {
  it('gives what JSON.parse does, and refuses what it refuses', () => {
    fc.assert(
      fc.property(nearlyJson, (text) => {
        assert.deepStrictEqual(
          outcomeOf(() => parse(text).value),
          outcomeOf((): unknown => JSON.parse(text)),
        );
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    '"\\ud83d\\ude00 \\ud83d \\u00e9 \\\\ \\" \\/"',
    '{"a":1,"a":{"b":2},"a":[3]}',
    '[0, -0, 1e999, -1E-7, 0.1, 123456789012345, 1234567890123456789, 1.7976931348623157e308]',
    ' \t\r\n[ true , false , null , { } , [ ] ] \n',
    '""',
    '[[[[[]]]]]',
  ])('gives what JSON.parse does for %s', (text) => {
    expect(parse(text).value).toStrictEqual(JSON.parse(text));
  });

  it.each([
    '',
    ' ',
    '01',
    '-',
    '1.',
    '.5',
    '+1',
    '[1,]',
    '{"a":1,}',
    '{"a"}',
    '[1 2]',
    'nul',
    'truex',
    '"\n"',
    '"\\x"',
    '"\\u12"',
    '1 1',
    ']',
    '{]',
  ])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow(/not valid JSON, at byte \d+/);
  });

  it('takes __proto__ for a name like any other', () => {
    const { value } = parse('{"__proto__":{"polluted":1}}');
    expect(Object.keys(value as object)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it('skips a byte order mark', () => {
    expect(parse('\uFEFF{"a":1}').value).toEqual({ a: 1 });
  });

  it.each([
    ['ASCII', 'hello '],
    ['characters of four bytes', '😀'],
    ['characters of three bytes', '中'],
    ['escapes of two bytes', '\\n'],
    ['escapes of six bytes', '\\u4e2d'],
    ['escaped quotes', '\\"'],
    ['escaped backslashes', '\\\\'],
  ])('parses a long string of %s in bounded steps, wherever it is cut', (_, unit) => {
    for (let shift = 0; shift < 7; shift += 1) {
      const text = `"${'x'.repeat(shift)}${unit.repeat((4 * workPerAdvance.bytes) / Buffer.byteLength(unit))}"`;
      const { value, steps } = parse(text);
      expect(value === JSON.parse(text)).toBe(true);
      expect(steps).toBeGreaterThanOrEqual(3);
    }
  });

  it.each([
    ['numbers', `[${'1,'.repeat(100_000)}1]`, 100_000 / workPerAdvance.values],
    ['empty strings', `[${'"",'.repeat(100_000)}""]`, 100_000 / workPerAdvance.values],
    ['objects', `[${'{},'.repeat(30_000)}{}]`, 30_000 / workPerAdvance.values],
    ['white space', `${' '.repeat(4 * workPerAdvance.bytes)}1`, 4],
  ])('parses many %s in bounded steps', (_, text, least) => {
    const { value, steps } = parse(text);
    expect(value).toStrictEqual(JSON.parse(text));
    expect(steps).toBeGreaterThanOrEqual(Math.floor(least));
  });

  it.each([
    ['nested a hundred thousand deep', '['.repeat(100_000), /128 deep/],
    ['objects nested too deep', '{"a":'.repeat(129), /128 deep/],
    ['five million arrays', `[${'[],'.repeat(5_000_000)}[]]`, /32768 objects and arrays/],
    ['too many numbers', `[${'1,'.repeat(2_000_000)}1]`, /1081344 values/],
    ['too many entries', `{${Array.from({ length: 5000 }, (_, index) => `"${index}":1`).join(',')}}`, /4096 entries/],
    ['one key again and again', `{${'"a":1,'.repeat(5000)}"a":1}`, /4096 entries/],
    ['a key of a megabyte', `{"${'k'.repeat(1_000_000)}":1}`, /key of more than 4096 bytes/],
    ['a number of a megabyte', `[${'9'.repeat(1_000_000)}]`, /number of more than 400/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});
