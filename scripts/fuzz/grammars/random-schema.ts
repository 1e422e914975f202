import type { Drawing } from './drawing.ts';
import { mutate } from './random-grammar.ts';

const names = ['a', 'b', 'name', '', '__proto__', 'é', '"', '\\', 'x'.repeat(300), '\ud800'];
const values: readonly unknown[] = [
  null,
  true,
  0,
  -1.5,
  1e300,
  '',
  'a',
  '"\\\n',
  '漢😀',
  [],
  [1, [2]],
  {},
  { a: { b: [] } },
];
const formats = ['uuid', 'email', 'date-time', 'ipv4', 'uri', 'duration', 'nonsense'];
const patterns = ['^a+$', '(a|b)*c', '[^"\\\\]{1,99}', '(?=x)y', '((((a*)*)*)*)*', '\\p{L}+', '^.{0,60000}$', '('];

/**
 * Makes a JSON schema as text, of keywords that converters know and of some that they do not; or with `isMutated` a
 * text that was one before some changes.
 */
export function drawSchema(draw: Drawing, { isMutated }: { readonly isMutated: boolean }): string {
  const shape = draw.one([
    () => schema(draw, draw.integer(0, 4)),
    () => ({ ...schema(draw, 3), $defs: { a: schema(draw, 2), b: { anyOf: [{ $ref: '#/$defs/a' }, { $ref: '#' }] } } }),
    () => nested(draw, draw.size(3000)),
    () => ({
      type: 'object',
      properties: Object.fromEntries(draw.list(draw.size(800), (index) => [`p${index}`, schema(draw, 0)])),
    }),
    () => ({ enum: draw.list(draw.size(4000), (index) => `value ${index}`) }),
  ]);
  const text = JSON.stringify(shape());
  return (isMutated ? mutate(draw, text) : text).slice(0, 250_000);
}

function nested(draw: Drawing, depth: number): unknown {
  const wrap = draw.one<(inner: unknown) => unknown>([
    (inner) => ({ type: 'array', items: inner }),
    (inner) => ({ type: 'object', properties: { a: inner }, required: ['a'] }),
    (inner) => ({ anyOf: [inner, inner] }),
    (inner) => ({ type: 'array', items: inner, minItems: 3, maxItems: 9 }),
  ]);
  let result: unknown = { type: 'integer' };
  // A wrapper that repeats its inner part doubles in size with each level.
  for (let level = 0; level < depth && JSON.stringify(result).length < 50_000; level += 1) result = wrap(result);
  return result;
}

function schema(draw: Drawing, depth: number): Record<string, unknown> {
  const simple: readonly (() => Record<string, unknown>)[] = [
    () => ({ type: draw.one(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array', 'colour']) }),
    () => ({ type: draw.list(draw.integer(0, 3), () => draw.one(['string', 'null', 'integer'])) }),
    () => ({ enum: draw.list(draw.integer(0, 4), () => draw.one(values)) }),
    () => ({ const: draw.one(values) }),
    () => ({ type: 'string', minLength: draw.size(3000) - 1, maxLength: draw.size(70_000) }),
    () => ({ type: 'string', [draw.one(['pattern', 'format'])]: draw.one([...patterns, ...formats]) }),
    () => ({ type: 'integer', minimum: draw.integer(-1e6, 1e6), maximum: draw.integer(-1e6, 1e15) }),
    () => ({
      $ref: draw.one(['#', '#/$defs/a', '#/$defs/b', '#/$defs/none', '#/properties/a', 'http://x/y', '#/%7B']),
    }),
    () => ({}),
  ];
  const inner = (): unknown => (draw.happens(0.05) ? draw.one(values) : schema(draw, depth - 1));
  const deep: readonly (() => Record<string, unknown>)[] = [
    () => ({ type: 'array', items: inner(), minItems: draw.size(50) - 1, maxItems: draw.size(3000) }),
    () => ({
      type: 'array',
      prefixItems: draw.list(draw.integer(0, 4), inner),
      items: draw.one([false, true, inner()]),
    }),
    () => ({
      type: 'object',
      properties: Object.fromEntries(draw.list(draw.integer(0, 12), () => [draw.one(names), inner()])),
      required: draw.list(draw.integer(0, 4), () => draw.one(names)),
      additionalProperties: draw.one([false, true, inner()]),
    }),
    () => ({ [draw.one(['anyOf', 'oneOf', 'allOf', 'not'])]: draw.list(draw.integer(0, 4), inner) }),
  ];
  return draw.one(depth > 0 ? [...simple, ...deep, ...deep] : simple)();
}
