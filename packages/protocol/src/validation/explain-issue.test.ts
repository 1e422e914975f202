import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';

import * as protocol from '../index.ts';
import { check } from './check.ts';
import { explainIssue } from './explain-issue.ts';

/** Words of Zod's English locale. */
const wordsOfZod = /invalid|too (small|big)|unrecognized|received|to be |[<>]=?\d|must match|not instance/i;

const badValues: readonly unknown[] = [undefined, null, '', 'x'.repeat(600), -1, 0.5, 1e300, Number.NaN, true, [], {}];
/** Deeper schemas than this would only repeat what others have shown. */
const maxDepth = 4;

/** Values that do not fit a schema, each wrong in another place. */
function misfits(schema: z.core.$ZodType, depth = 0): readonly unknown[] {
  if (depth > maxDepth) return badValues;
  if (schema instanceof z.ZodObject) {
    const bad = Object.entries(schema.shape).map(([key, child]) => [key, misfits(child, depth + 1)] as const);
    const count = Math.max(0, ...bad.map(([, values]) => values.length));
    const wrongInside = Array.from({ length: count }, (_, index) =>
      Object.fromEntries(bad.map(([key, values]) => [key, values[index % values.length]])),
    );
    return [...badValues, ...wrongInside];
  }
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const { discriminator, options } = schema.def;
    const ofOptions = options.flatMap((option) =>
      misfits(option, depth + 1).map((value) => {
        const [kind] = option._zod.propValues?.[discriminator] ?? [];
        return typeof value === 'object' && value !== null ? { ...value, [discriminator]: kind } : value;
      }),
    );
    return [...badValues, ...ofOptions];
  }
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => misfits(option, depth + 1));
  if (schema instanceof z.ZodArray) return [...badValues, misfits(schema.element, depth + 1)];
  if (schema instanceof z.ZodRecord) return [...badValues, { '\u001B[31m': 5, ' ': 'x'.repeat(600) }, { fits: null }];
  if (schema instanceof z.ZodPipe) return [...misfits(schema.in, depth), ...misfits(schema.out, depth)];
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) {
    return misfits(schema.unwrap(), depth);
  }
  return badValues;
}

const schemas = Object.entries<unknown>(protocol).flatMap(([name, value]): readonly [string, z.ZodType][] =>
  value instanceof z.ZodType ? [[name, value]] : [],
);

test.each(schemas)('explains in plain words why a value does not fit %s', (_, schema) => {
  const texts = misfits(schema).flatMap((value) => {
    const issues = schema.safeParse(value, { error: explainIssue }).error?.issues ?? [];
    return issues.map(({ message }) => message);
  });
  expect(texts.length).toBeGreaterThan(0);
  for (const text of new Set(texts)) expect(text).not.toMatch(wordsOfZod);
});

test('would be caught with the words of Zod', () => {
  const own = schemas.flatMap(([, schema]) =>
    misfits(schema).flatMap((value) => schema.safeParse(value).error?.issues.map(({ message }) => message) ?? []),
  );
  expect(new Set(own.filter((text) => wordsOfZod.test(text))).size).toBeGreaterThan(50);
});

describe('a value that does not fit', () => {
  const said = (schema: z.ZodType, value: unknown): string => {
    const checked = check(schema, value);
    return checked.ok ? 'it fits' : checked.problem;
  };

  it('is told of by its field, and by what is expected there', () => {
    const message = z.object({ messages: z.array(z.object({ content: z.string() })).min(1) });
    expect(said(message, { messages: [] })).toBe('messages: expected at least 1 item');
    expect(said(message, { messages: [{ content: 5 }] })).toBe('messages[0].content: expected a string');
    expect(said(message, { messages: [{}] })).toBe('messages[0].content is missing: expected a string');
    expect(said(message, 5)).toBe('expected an object');
  });

  it.each([
    [z.number().int(), 0.5, 'expected a whole number'],
    [z.number().positive(), 0, 'expected a number of more than 0'],
    [z.number().multipleOf(3), 4, 'expected a multiple of 3'],
    [z.string().max(1), 'xx', 'expected at most 1 character'],
    [z.enum(['one', 'two']), 'three', 'expected "one" or "two"'],
    [z.union([z.literal(1), z.literal(2)]), 3, 'expected 1 or 2'],
    [z.union([z.string(), z.number(), z.null()]), true, 'expected a string or a number or null'],
    [z.union([z.object({ a: z.string() }), z.string()]), { a: 5 }, 'expected a string'],
    [
      z.discriminatedUnion('type', [z.object({ type: z.literal('one') }), z.object({ type: z.literal('two') })]),
      { type: 'x' },
      'type: expected "one" or "two"',
    ],
    [z.base64(), '*', 'expected text in the format base64'],
    [z.strictObject({}), { more: 1 }, 'expected known names only'],
    [z.set(z.string()), new Set([1]), 'expected a string'],
    [z.string().refine(() => false), '', 'expected something else'],
    [z.string().refine(() => false, 'must rhyme'), '', 'must rhyme'],
    [z.record(z.string().max(1), z.number()), { long: 1 }, 'long: expected another name: expected at most 1 character'],
  ])('is explained for each kind of schema (%#)', (schema, value, text) => {
    expect(said(schema, value)).toBe(text);
  });

  it('gives its field without control characters, and not at any length', () => {
    const text = said(z.record(z.string(), z.number()), { ['\u001B[2J' + 'x'.repeat(1000)]: 'no number' });
    expect(text).toBe(`[2J${'x'.repeat(197)}: expected a number`);
  });
});
