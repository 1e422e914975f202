import type { z } from 'zod';

/**
 * Options for Zod's `safeParse` that end a validation at its first issue: an issue for each of a million bad elements
 * costs far more than the elements. Keys of an object and elements of an array are checked in their order.
 */
export const firstIssueOnly: z.core.ParseContextInternal<z.core.$ZodIssue> = Object.freeze({ abortEarly: true });
