import { isSkeinError, SkeinError, type Sampling } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { Recognizer } from '../../../../../scripts/schemas/recognizer.ts';
import { convert } from './converter.ts';
import { asSchemaError, grammarOf, withJsonSchema } from './index.ts';
import { SchemaDocument } from './schema-document.ts';

const sampling: Sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
const place = 'response_format.json_schema.schema';

/** Says of each text whether the grammar of a schema derives it. */
function derives(schema: unknown): (text: string) => boolean {
  const recognizer = new Recognizer(convert(new SchemaDocument(JSON.stringify(schema))));
  return (text) => recognizer.accepts(text);
}

/** The error for a schema; undefined when there is none. */
function refusalOf(json: string): SkeinError | undefined {
  try {
    grammarOf(json);
    return undefined;
  } catch (error) {
    if (isSkeinError(error)) return error;
    throw error;
  }
}

function accepted(schema: unknown, texts: readonly string[]): string[] {
  return texts.filter(derives(schema));
}

describe('a reference in a schema', () => {
  it.each([
    ['to a definition', { a: { $ref: '#/definitions/A' } }, { definitions: { A: { enum: ['x', 'y'] } } }],
    ['to an escaped name', { a: { $ref: '#/$defs/A~1B' } }, { $defs: { 'A/B': { enum: ['x', 'y'] } } }],
    ['to a percent-encoded name', { a: { $ref: '#/$defs/A%20B~0' } }, { $defs: { 'A B~': { enum: ['x', 'y'] } } }],
    ['to a property', { a: { $ref: '#/properties/b' }, b: { enum: ['x', 'y'] } }, {}],
    ['to an item of a list', { a: { $ref: '#/$defs/l/anyOf/1' } }, { $defs: { l: { anyOf: [true, { const: 'x' }] } } }],
    ['by way of another', { a: { $ref: '#/$defs/b' } }, { $defs: { b: { $ref: '#/$defs/c' }, c: { const: 'x' } } }],
    [
      'by the root’s id',
      { a: { $ref: 'https://e.org/s#/$defs/b' } },
      { $id: 'https://e.org/s', $defs: { b: { const: 'x' } } },
    ],
  ])('%s is followed', (_name, properties, more) => {
    const schema = { type: 'object', properties, required: ['a'], ...more };
    expect(accepted(schema, ['{"a":"x"}', '{"a":"z"}', '{"a":null}', '{"a":{}}', '{}'])).toEqual(['{"a":"x"}']);
  });

  it('to the schema itself makes values within values', () => {
    const next = { anyOf: [{ $ref: '#' }, { type: 'null' }] };
    const schema = { type: 'object', properties: { v: { type: 'integer' }, next }, required: ['v', 'next'] };
    const list = '{"v":1,"next":{"v":2,"next":{"v":3,"next":null}}}';
    expect(accepted(schema, [list, '{"v":1,"next":{}}', '{"v":1,"next":"x"}'])).toEqual([list]);
  });

  it('holds together with what stands beside it, as drafts from 2019 on have it', () => {
    const schema = { $defs: { a: { type: 'string' } }, $ref: '#/$defs/a', minLength: 2, description: 'x' };
    expect(accepted(schema, ['"a"', '"ab"', '12'])).toEqual(['"ab"']);
  });

  it.each([
    ['that is missing', { properties: { a: { $ref: '#/$defs/nope' } } }, '.properties.a.$ref'],
    [
      'to a place that is no schema',
      { properties: { a: { $ref: '#/required' } }, required: ['a'] },
      '.properties.a.$ref',
    ],
    ['to another document', { properties: { a: { $ref: 'https://e.org/s.json' } } }, '.properties.a.$ref'],
    ['to an anchor', { $defs: { a: { $anchor: 'b' } }, properties: { a: { $ref: '#b' } } }, '.properties.a.$ref'],
    [
      'beside nested ids',
      { $defs: { a: { $id: 'x' } }, properties: { a: { $ref: '#/$defs/a' } } },
      '.properties.a.$ref',
    ],
    ['to an inherited name', { properties: { a: { $ref: '#/$defs/constructor' } }, $defs: {} }, '.properties.a.$ref'],
    ['to itself', { $ref: '#' }, '.$ref'],
    ['to itself by way of not', { type: 'array', not: { type: 'null', $ref: '#' } }, '.not.$ref'],
    [
      'that leads back to itself',
      { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }] } } },
      '.$defs.a.anyOf[0].$ref',
    ],
  ])('%s is refused by its place', (_name, schema, path) => {
    expect(refusalOf(JSON.stringify(schema))).toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(path.slice(1)) as string,
      details: { param: `${place}${path}` },
    });
  });
});

describe('a schema that says little', () => {
  const values = ['null', 'true', '-1.5e3', '"a\\u00e9é"', '[1,[],{}]', '{"a":{"b":[null]}}', '{}'];

  it.each([[{}], [true], [{ description: 'anything' }], [{ anyOf: [{}] }]])('%j allows any JSON', (schema) => {
    expect(accepted(schema, values)).toEqual(values);
  });

  it('allows any object where it asks for one', () => {
    expect(accepted({ type: 'object' }, values)).toEqual(['{"a":{"b":[null]}}', '{}']);
  });

  it('allows any items where it asks for a list', () => {
    expect(accepted({ type: 'array' }, values)).toEqual(['[1,[],{}]']);
  });

  it('is of the types that its keywords speak of', () => {
    expect(accepted({ properties: { a: { minLength: 1 } } }, ['{"a":"b"}', '{"a":1}', '1', '{}'])).toEqual([
      '{"a":"b"}',
      '{}',
    ]);
  });
});

describe('objects', () => {
  const schema = {
    type: 'object',
    properties: { a: { type: 'integer' }, b: { type: 'boolean' }, c: { type: 'null' } },
    required: ['b'],
  };

  it('have their properties in their order, optional ones or not', () => {
    const right = ['{"b":true}', '{"a":1,"b":true}', '{"b":true,"c":null}', '{"a":1,"b":true,"c":null}'];
    const wrong = ['{}', '{"a":1}', '{"b":true,"a":1}', '{"b":true,"d":1}', '{"b":true,}', '{,"b":true}', '{"b":1}'];
    expect(accepted(schema, [...right, ...wrong])).toEqual(right);
  });

  it('take bounded white space', () => {
    const right = ['{ "b": true }', '{\n  "b": true,\n  "c": null\n}', '{"b": true, "c": null}'];
    expect(accepted(schema, [...right, '{  "b":true}', '{"b":true}\n'])).toEqual(right);
  });

  it('have required properties that nothing else names', () => {
    const open = { ...schema, required: ['b', 'z'], additionalProperties: { type: 'string' } };
    expect(accepted(open, ['{"b":true}', '{"b":true,"z":"x"}', '{"b":true,"z":1}'])).toEqual(['{"b":true,"z":"x"}']);
  });

  it('have other properties where the schema says so, under no other spelling of a name', () => {
    const open = derives({
      type: 'object',
      properties: { ab: { type: 'integer' }, 'q"': true },
      additionalProperties: { type: 'string' },
    });
    for (const text of ['{"ab":1,"x":"y"}', '{"x":"y"}', '{"a":"y","abc":"z"}', '{"":"y"}', '{"é":"y"}', '{}']) {
      expect([text, open(text)]).toEqual([text, true]);
    }
    for (const text of ['{"ab":"x"}', '{"x":"y","ab":"z"}', '{"\\u0061b":"x"}', '{"q\\"":1,"q\\"":"x"}', '{"x":1}']) {
      expect([text, open(text)]).toEqual([text, false]);
    }
  });

  it('may have names that mean something to JavaScript', () => {
    const json =
      '{"type":"object","properties":{"__proto__":{"type":"integer"},"constructor":{"const":1}},"required":["__proto__"]}';
    const recognizer = new Recognizer(convert(new SchemaDocument(json)));
    expect(recognizer.accepts('{"__proto__":1,"constructor":1}')).toBe(true);
    expect(recognizer.accepts('{"__proto__":"x"}')).toBe(false);
    expect(recognizer.accepts('{}')).toBe(false);
  });

  it('leave out what can have no value, and never go on for ever', () => {
    const tree = {
      type: 'object',
      properties: { a: { type: 'object', required: ['b'], properties: { b: { $ref: '#' } } }, c: false },
    };
    expect(accepted(tree, ['{}', '{"a":{"b":{}}}', '{"c":1}'])).toEqual(['{}', '{"a":{"b":{}}}']);
  });

  it('have what a property depends on', () => {
    const depending = {
      type: 'object',
      properties: { a: { type: 'integer' }, b: { type: 'integer' } },
      dependentRequired: { a: ['b'] },
    };
    expect(accepted(depending, ['{}', '{"a":1}', '{"b":1}', '{"a":1,"b":1}'])).toEqual([
      '{}',
      '{"b":1}',
      '{"a":1,"b":1}',
    ]);
  });

  it('have a property at least where it is asked for', () => {
    expect(accepted({ ...schema, required: [], minProperties: 1 }, ['{}', '{"c":null}'])).toEqual(['{"c":null}']);
    expect(
      accepted({ type: 'object', minProperties: 1, maxProperties: 2 }, ['{}', '{"a":1}', '{"a":1,"b":2,"c":3}']),
    ).toEqual(['{"a":1}']);
  });
});

describe('alternatives', () => {
  it('keep what stands beside them', () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'integer' }, b: { type: 'integer' } },
      anyOf: [{ required: ['a'] }, { required: ['b'] }],
    };
    expect(accepted(schema, ['{}', '{"a":1}', '{"b":1}', '{"a":"x"}'])).toEqual(['{"a":1}', '{"b":1}']);
  });

  it('of oneOf exclude each other by type, constant or required property', () => {
    const byType = { oneOf: [{ type: 'string' }, { type: 'null' }] };
    expect(accepted(byType, ['"a"', 'null', '1'])).toEqual(['"a"', 'null']);
    const kind = (value: string) => ({ type: 'object', properties: { kind: { const: value } }, required: ['kind'] });
    expect(accepted({ oneOf: [kind('a'), kind('b')] }, ['{"kind":"a"}', '{"kind":"b"}', '{}'])).toEqual([
      '{"kind":"a"}',
      '{"kind":"b"}',
    ]);
    const either = { properties: { a: true, b: true }, oneOf: [{ required: ['a'] }, { required: ['b'] }] };
    expect(accepted(either, ['{"a":1}', '{"b":1}', '{"a":1,"b":1}', '{}'])).toEqual(['{"a":1}', '{"b":1}']);
  });

  it('of oneOf that may hold at once are refused', () => {
    const schema = { properties: { a: { oneOf: [{ type: 'number' }, { type: 'integer' }] } } };
    expect(refusalOf(JSON.stringify(schema))?.details).toEqual({ param: `${place}.properties.a.oneOf` });
    // Of draft 4, which has no `const`, either alternative takes anything.
    const old = { $schema: 'http://json-schema.org/draft-04/schema#', oneOf: [{ const: 1 }, { const: 2 }] };
    expect(refusalOf(JSON.stringify(old))?.code).toBe('invalid-request');
  });

  it('of allOf hold all at once', () => {
    const schema = {
      allOf: [{ type: ['string', 'number'] }, { type: ['string', 'null'], minLength: 2 }, { maxLength: 3 }],
    };
    expect(accepted(schema, ['"a"', '"ab"', '"abcd"', '1', 'null'])).toEqual(['"ab"']);
  });

  it('are no proof of themselves', () => {
    const listed = { enum: [null, 'a'], minItems: 2 };
    expect(refusalOf(JSON.stringify({ type: ['array', 'null'], not: listed }))?.details).toEqual({
      param: `${place}.not`,
    });
    expect(refusalOf(JSON.stringify({ oneOf: [{ type: 'array' }, { not: listed }] }))?.code).toBe('invalid-request');
  });

  it('are left out of by not where that can be said', () => {
    expect(accepted({ not: { type: ['object', 'array'] } }, ['1', '{}', '[]', '"a"'])).toEqual(['1', '"a"']);
    expect(
      accepted({ type: 'object', properties: { a: true, b: true }, not: { required: ['a'] } }, ['{"a":1}', '{"b":1}']),
    ).toEqual(['{"b":1}']);
    expect(accepted({ enum: [1, 2, 3], not: { const: 2 } }, ['1', '2', '3'])).toEqual(['1', '3']);
  });
});

describe('listed values', () => {
  it('are those of the type', () => {
    expect(accepted({ type: 'string', enum: ['a', 1, null] }, ['"a"', '1', 'null'])).toEqual(['"a"']);
    expect(accepted({ type: ['string', 'null'], enum: ['a', null] }, ['"a"', 'null'])).toEqual(['"a"', 'null']);
    expect(accepted({ const: { a: [1, 'x"'] } }, ['{"a":[1,"x\\""]}', '{"a":[1]}'])).toEqual(['{"a":[1,"x\\""]}']);
  });
});

describe('strings', () => {
  it('are counted in code points', () => {
    const texts = ['""', '"😀"', '"\\n"', '"\\u0041b"', '"abc"'];
    expect(accepted({ type: 'string', minLength: 1, maxLength: 2 }, texts)).toEqual(['"😀"', '"\\n"', '"\\u0041b"']);
  });

  it('are JSON, without halves of surrogate pairs', () => {
    const texts = ['"\\ud800"', '"\\uDFFF"', '"\n"', '"\u0000"', '"\\x"', '"a"b"', '"\\u00e"', '"\ud800"'];
    expect(accepted({ type: 'string' }, texts)).toEqual([]);
  });

  it.each([
    ['string', 'minLength', 'maxLength', (count: number) => `"${'a'.repeat(count)}"`],
    ['array', 'minItems', 'maxItems', (count: number) => JSON.stringify(Array.from({ length: count }, () => 1))],
  ] as const)('and lists: a %s may be long', (type, least, most, textOf) => {
    const bounds = [
      [0, 2500],
      [1999, 2100],
      [5000, 5000],
      [300, 99_999],
    ] as const;
    for (const [from, to] of bounds) {
      const test = derives({ type, [least]: from, [most]: to });
      const counts = [from - 1, from, from + 1, 2047, to - 1, to, to + 1].filter((count) => count > 0 && count < 6000);
      const wrong = counts.filter((count) => test(textOf(count)) !== (count >= from && count <= to));
      expect([from, to, wrong]).toEqual([from, to, []]);
    }
  });
});

describe('bounds of numbers', () => {
  it('are exact for whole numbers', () => {
    const bounds = [-1000, -120, -99, -10, -1, 0, 1, 9, 10, 99, 105, 1000];
    const wrong: unknown[] = [];
    for (const minimum of bounds) {
      for (const maximum of bounds.filter((bound) => bound >= minimum)) {
        const test = derives({ type: 'integer', minimum, maximum });
        for (const value of [...bounds.flatMap((bound) => [bound - 1, bound, bound + 1]), 55, 550, -55]) {
          if (test(String(value)) !== (value >= minimum && value <= maximum)) wrong.push([minimum, maximum, value]);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('hold for numbers with decimals', () => {
    const inside = (schema: object, texts: string[]) => accepted({ type: 'number', ...schema }, texts);
    expect(inside({ minimum: 0, maximum: 1 }, ['0', '1', '0.5', '1.5', '-0.5', '1.01'])).toEqual(['0', '1', '0.5']);
    expect(inside({ minimum: 0.25, maximum: 0.75 }, ['0.25', '0.75', '0.5', '0.50', '0.24', '0.751', '1'])).toEqual([
      '0.25',
      '0.75',
      '0.50',
    ]);
    expect(inside({ exclusiveMinimum: 0 }, ['0', '0.0', '0.1', '1', '12.5', '-1'])).toEqual(['0.1', '1', '12.5']);
    expect(inside({ minimum: -1.5, exclusiveMaximum: 2 }, ['-1.5', '-1.51', '-1.25', '1.99', '2', '0'])).toEqual([
      '-1.5',
      '-1.25',
      '1.99',
      '0',
    ]);
    expect(inside({ minimum: 0, maximum: 10, exclusiveMaximum: true }, ['10', '9.9'])).toEqual(['9.9']);
  });

  it('are told apart however they are written', () => {
    const schema = {
      prefixItems: [
        { type: 'integer', maximum: 1e21 },
        { type: 'integer', maximum: 1e-21 },
      ],
      minItems: 2,
    };
    expect(accepted(schema, ['[5,0]', '[5,5]', '[-5,-5]'])).toEqual(['[5,0]', '[-5,-5]']);
  });

  it('never let a number overflow', () => {
    expect(accepted({ type: 'number' }, ['1e99', '1e999', '9'.repeat(400), '1.', '.5', '01', '+1'])).toEqual(['1e99']);
  });
});

describe('a schema that can not be followed', () => {
  it.each([
    ['pattern', { properties: { a: { type: 'string', pattern: 'x' } } }, '.properties.a.pattern'],
    ['an unknown format', { items: { type: 'string', format: 'colour' } }, '.items.format'],
    ['uniqueItems', { type: 'array', uniqueItems: true }, '.uniqueItems'],
    ['if', { if: {}, else: {} }, '.if'],
    ['patternProperties', { patternProperties: { a: {} } }, '.patternProperties'],
    ['an unknown keyword', { properties: { a: { minLenght: 1 } } }, '.properties.a.minLenght'],
    ['nullable', { type: 'string', nullable: true }, '.nullable'],
    ['an unknown type', { properties: { 'a b': { type: 'colour' } } }, '.properties["a b"].type'],
    ['required that is no list', { properties: { a: { required: true } } }, '.properties.a.required'],
    ['required that is forbidden', { additionalProperties: false, required: ['a'] }, '.required'],
    ['values of no type', { type: 'string', enum: [1] }, '.enum'],
    ['values of no type in a property', { properties: { a: { type: 'string', enum: [1] } } }, '.properties.a.enum'],
    ['values beside a pattern', { enum: ['a'], pattern: 'a' }, '.enum'],
    ['too long strings', { type: 'string', minLength: 200_000 }, '.minLength'],
    ['too long lists', { type: 'array', minItems: 200_000 }, '.minItems'],
    ['many properties', { type: 'object', minProperties: 3 }, '.minProperties'],
    [
      'more required properties than are allowed',
      { required: ['a', 'b'], maxProperties: 1, additionalProperties: true },
      '.maxProperties',
    ],
    ['multiples', { type: 'number', multipleOf: 0.01 }, '.multipleOf'],
    ['values that never end', { properties: { a: { $ref: '#' } }, required: ['a'] }, ''],
    ['false', { allOf: [false] }, '.allOf[0]'],
    ['a format without room', { type: 'string', format: 'uuid', maxLength: 8 }, '.maxLength'],
  ])('is refused by the place of %s', (_name, schema, path) => {
    expect(refusalOf(JSON.stringify(schema))).toMatchObject({
      code: 'invalid-request',
      details: { param: `${place}${path}` },
    });
  });

  it('tells nothing of a grammar', () => {
    const properties = Object.fromEntries(
      Array.from({ length: 900 }, (_, index) => [`name${index}`, { type: 'string', maxLength: 200 + index }]),
    );
    const { message, details } = refusalOf(JSON.stringify({ properties })) ?? {};
    expect(message).toContain('the JSON schema');
    expect(details).toEqual({ param: place });
    const ofEngine = new SkeinError('invalid-request', 'GBNF', { details: { param: 'grammar' } });
    expect(asSchemaError(ofEngine)).toMatchObject({ code: 'invalid-request', details: { param: place } });
    const other = new SkeinError('overloaded', 'later');
    expect(asSchemaError(other)).toBe(other);
  });

  it('is refused together with a grammar', () => {
    expect(() => withJsonSchema({ ...sampling, grammar: 'root ::= "a"' }, '{}')).toThrow(SkeinError);
    expect(withJsonSchema(sampling, '{"const":1}')).toEqual({
      ...sampling,
      grammar: 'root ::= value-1\nvalue-1 ::= "1"\n',
    });
  });
});

describe('a hostile schema', () => {
  const repeated = (text: string, count: number): string => Array.from({ length: count }, () => text).join(',');
  const named = (count: number, value: string): string =>
    Array.from({ length: count }, (_, index) => `"p${index}":${value}`).join(',');
  const chain = named(3000, '{}').replaceAll(
    /"p(\d+)":\{\}/g,
    (_, at: string) => `"p${at}":{"$ref":"#/$defs/p${Number(at) + 1}"}`,
  );
  const nestedTo = (depth: number): string =>
    named(depth, '{}').replaceAll(
      /"p(\d+)":\{\}/g,
      (_, at: string) => `"p${at}":{"type":"array","items":{"$ref":"#/$defs/p${Number(at) + 1}"}}`,
    );

  it.each([
    ['is no JSON', '{'],
    ['is a list', '[]'],
    ['is 100,000 deep', '{"not":'.repeat(100_000) + '{}' + '}'.repeat(100_000)],
    ['is a deep list', '{"enum":' + '['.repeat(100_000) + ']'.repeat(100_000) + '}'],
    ['has 100,000 values', `{"enum":[${repeated('1', 100_000)}]}`],
    ['has 20,000 properties', `{"properties":{${named(20_000, '{}')}}}`],
    ['has 30,000 alternatives', `{"anyOf":[${repeated('{}', 30_000)}]}`],
    ['has 5,000 alternatives of which one holds', `{"oneOf":[${repeated('{"type":"string"}', 5000)}]}`],
    ['has choices that multiply', `{"allOf":[${repeated('{"anyOf":[{"minLength":1},{"minLength":2}]}', 30)}]}`],
    [
      'has schemas that refer to each other in a circle',
      '{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}',
    ],
    ['has a chain of references', `{"$ref":"#/$defs/p0","$defs":{${chain}}}`],
    ['has a number beyond doubles', '{"const":1e999}'],
    ['has many ways through itself', `{"anyOf":[${repeated('{"$ref":"#"}', 20)}]}`],
    ['has large names to exclude', `{"additionalProperties":{},"properties":{"${'a'.repeat(200_000)}":{}}}`],
    ['has thousands of dependencies', `{"dependentRequired":{${named(5000, '["a"]')}}}`],
    ['has large bounds', '{"type":"integer","minimum":1e300}'],
    ['has 8,000 long values', `{"enum":[${repeated('"a value of some length"', 8000)}]}`],
    ['has 8,000 alternatives of which one holds', `{"oneOf":[${repeated('true', 8000)}]}`],
    ['has thousands of references deep', `{"$ref":"#/$defs/p0","$defs":{${nestedTo(3000)},"p3000":{}}}`],
  ])('that %s is refused', (_name, json) => {
    expect(refusalOf(json)?.code).toBe('invalid-request');
    expect(refusalOf(json)?.message.length).toBeLessThan(800);
    expect(String(refusalOf(json)?.details['param']).length).toBeLessThan(512);
  });

  it.each([
    ['has 5,000 values', `{"enum":[${repeated('1', 5000)}]}`],
    ['has 5,000 empty parts', `{"allOf":[${repeated('{}', 5000)}]}`],
    ['has hundreds of references deep', `{"$ref":"#/$defs/p0","$defs":{${nestedTo(900)},"p900":{}}}`],
    ['has wide bounds', '{"type":"number","minimum":-1e300,"maximum":1e300}'],
  ])('that %s is followed', (_name, json) => {
    expect(grammarOf(json)).toContain('root ::=');
  });
});
