import type { z } from 'zod';

import { SkeinError } from '../errors/skein-error.ts';
import { check } from '../validation/check.ts';

/**
 * Checks a decoded header against its schema and returns it.
 *
 * @throws SkeinError `protocol-violation` when it does not fit; the message names the offending field, never its value
 */
export function parseHeader<Schema extends z.ZodType>(schema: Schema, header: unknown): z.output<Schema> {
  const checked = check(schema, header);
  if (checked.ok) return checked.data;
  throw new SkeinError('protocol-violation', `a message breaks the protocol: ${checked.problem}`, {
    cause: checked.cause,
  });
}
