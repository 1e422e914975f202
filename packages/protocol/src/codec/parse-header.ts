import type { z } from 'zod';

import { SkeinError } from '../errors/skein-error.ts';

/** Checks a decoded header against its schema. Throws `protocol-violation` that names the offending field, never its value. */
export function parseHeader<Schema extends z.ZodType>(schema: Schema, header: unknown): z.output<Schema> {
  const result = schema.safeParse(header);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? 'the header' : issue.path.join('.').slice(0, 200);
  throw new SkeinError(
    'protocol-violation',
    `a frame does not fit its schema at ${where}: ${issue?.message ?? 'invalid'}`,
    {
      cause: result.error,
    },
  );
}
