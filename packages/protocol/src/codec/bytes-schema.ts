import { z } from 'zod';

/** Returns a schema of bytes whose number is within a bound. */
export function bytesSchema(
  bound: { readonly exactly: number } | { readonly atMost: number },
): z.ZodType<Uint8Array, Uint8Array> {
  const [fits, says] =
    'exactly' in bound
      ? [(length: number) => length === bound.exactly, `${bound.exactly} bytes`]
      : [(length: number) => length <= bound.atMost, `at most ${bound.atMost} bytes`];
  return z.custom<Uint8Array>((value) => value instanceof Uint8Array && fits(value.byteLength), {
    message: `must be ${says}`,
  });
}
