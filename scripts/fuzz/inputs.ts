import { encodeFrame, encodeValue } from '@skein/protocol';
import * as fc from 'fast-check';

/** Values that MessagePack can hold, of every shape and none that anybody expects. */
const values: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.integer(),
    fc.double(),
    fc.string({ maxLength: 64 }),
    fc.boolean(),
    fc.constantFrom(null, '', 0, -1, NaN, Infinity, Number.MAX_SAFE_INTEGER, '__proto__', 'type'),
    fc.uint8Array({ maxLength: 80 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(fc.string({ maxLength: 16 }), tie('value'), { maxKeys: 6 }),
  ),
})).value;

/** Bytes without purpose. */
const noise = fc.uint8Array({ maxLength: 512 });

/** Makes inputs of bytes with deliberate changes: some flipped, cut off, repeated, or others put between them. */
function mutated(examples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const example = fc.constantFrom(...examples);
  const places = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });
  return fc.oneof(
    fc.tuple(example, places).map(([bytes, changes]) => {
      const copy = Uint8Array.from(bytes);
      for (const [place, value] of changes) if (copy.length > 0) copy[place % copy.length] = value;
      return copy;
    }),
    fc.tuple(example, fc.nat()).map(([bytes, end]) => bytes.subarray(0, end % (bytes.length + 1))),
    fc.tuple(example, fc.nat(), noise).map(([bytes, at, more]) => {
      const place = at % (bytes.length + 1);
      return Buffer.concat([bytes.subarray(0, place), more, bytes.subarray(place)]);
    }),
    fc.tuple(example, example).map((both) => Buffer.concat(both)),
  );
}

/** Makes inputs for a decoder of bytes: noise, and bytes that are almost one of the examples. */
export function bytesLike(examples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc.oneof({ weight: 1, arbitrary: noise }, { weight: 3, arbitrary: mutated(examples) });
}

/** Makes inputs of an example with some of its fields, at any depth, replaced, added or removed. */
function distorted(example: unknown): fc.Arbitrary<unknown> {
  if (Array.isArray(example)) {
    return fc.oneof({ weight: 3, arbitrary: fc.tuple(...example.map(distorted)) }, { weight: 1, arbitrary: values });
  }
  if (typeof example === 'object' && example !== null && !(example instanceof Uint8Array)) {
    const fields = Object.entries(example).map(([key, value]) => [key, distorted(value)] as const);
    const record = fc.record(Object.fromEntries(fields), { requiredKeys: [] });
    return fc.oneof({ weight: 5, arbitrary: record }, { weight: 1, arbitrary: values });
  }
  return fc.oneof({ weight: 5, arbitrary: fc.constant(example) }, { weight: 1, arbitrary: values });
}

/** Makes inputs of JSON that is almost that of the examples, and of texts that are almost JSON. */
export function jsonLike(examples: readonly object[]): fc.Arbitrary<Uint8Array> {
  const encoded = examples.map((example) => Buffer.from(JSON.stringify(example)));
  const json = fc.oneof(...examples.map(distorted)).map((value) => Buffer.from(JSON.stringify(value)));
  return fc.oneof({ weight: 3, arbitrary: json }, { weight: 1, arbitrary: bytesLike(encoded) });
}

/** Makes inputs of headers that are almost those of the examples, as bytes of MessagePack. */
export function headersLike(examples: readonly object[]): fc.Arbitrary<Uint8Array> {
  const encoded = examples.map((example) => encodeValue(example));
  const shaped = fc.oneof(...examples.map(distorted)).map((value) => encodeValue({ value }));
  return fc.oneof({ weight: 1, arbitrary: bytesLike(encoded) }, { weight: 3, arbitrary: shaped });
}

/** Makes inputs of frames that are almost those of the examples, and of bytes in between. */
export function framesLike(examples: readonly object[]): fc.Arbitrary<Uint8Array> {
  return bytesLike(examples.map((example) => encodeFrame(example, new Uint8Array(16))));
}
