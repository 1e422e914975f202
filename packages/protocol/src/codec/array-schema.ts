import { z } from 'zod';

/**
 * Returns a schema of an array with `least` (default 0) to `most` elements. It checks the number of elements before the
 * elements: one error for each of the millions that fit into a frame would cost more than the frame.
 */
export function arraySchema<Element extends z.ZodType>(
  element: Element,
  { least = 0, most }: { readonly least?: number; readonly most: number },
): z.ZodType<z.output<Element>[], z.input<Element>[]> {
  // The first half only counts the elements, so its input type is wider than that of the whole.
  return z.array(z.unknown()).min(least).max(most).pipe(z.array(element)) as z.ZodType<
    z.output<Element>[],
    z.input<Element>[]
  >;
}
