import { explainIssue, fieldName, firstIssueOnly, SkeinError, valueAt } from '@skein/protocol';
import type { z } from 'zod';

/**
 * Checks a request body; the first issue ends it. Throws `invalid-request` in OpenAI's words, with the parameter at fault in `details.param`,
 * from where it gets into the error's `param`.
 */
export function validate<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new SkeinError('invalid-request', 'the request body must be a JSON object');
  }
  const result = schema.safeParse(body, { ...firstIssueOnly, error: explainIssue });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue === undefined) throw new SkeinError('invalid-request', 'the request body is invalid');
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] ?? ''] : issue.path;
  const param = fieldName(path);
  throw new SkeinError('invalid-request', describe(issue, param, valueAt(body, path)), {
    details: param === '' ? {} : { param },
  });
}

function describe(issue: z.core.$ZodIssue, param: string, value: unknown): string {
  if (issue.code === 'unrecognized_keys') return `Unrecognized request argument supplied: ${param}`;
  if (value === undefined && issue.code !== 'custom') return `Missing required parameter: '${param}'`;
  return `Invalid value for '${param}': ${issue.message}`;
}
