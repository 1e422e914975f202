import { z } from 'zod';

/**
 * Returns a schema of an array with `least` (default 0) to `most` elements. It checks the number of elements before the
 * elements: one error for each of the millions that fit into a frame would cost more than the frame.
 */
export function arraySchema<Element extends z.ZodType>(
  element: Element,
  { least = 0, most }: { readonly least?: number; readonly most: number },
): z.ZodType<z.output<Element>[], z.input<Element>[]> {
  // What goes in is an array of the element's input; that the first half looks at the number alone is not its caller's matter.
  return z.array(z.unknown()).min(least).max(most).pipe(z.array(element)) as z.ZodType<
    z.output<Element>[],
    z.input<Element>[]
  >;
}
