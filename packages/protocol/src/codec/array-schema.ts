import { z } from 'zod';

/**
 * An array of so many elements at most, default from 0 on. How many there are is checked first: an error for each of the
 * millions that fit into a frame would cost more than the frame.
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
