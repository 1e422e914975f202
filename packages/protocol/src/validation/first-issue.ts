import type { z } from 'zod';

/**
 * Options for zod's `safeParse` with which the first issue ends a validation: an issue for each of a million bad elements
 * costs far more than the elements. An object's keys are checked in their order, and an array's elements in theirs.
 */
export const firstIssueOnly: z.core.ParseContextInternal<z.core.$ZodIssue> = Object.freeze({ abortEarly: true });
