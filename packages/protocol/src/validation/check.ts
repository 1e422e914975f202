import type { z } from 'zod';

import { explainIssue } from './explain-issue.ts';
import { fieldName } from './field-name.ts';
import { firstIssueOnly } from './first-issue.ts';

const inPlainWords = { ...firstIssueOnly, error: explainIssue };

/**
 * A value that fits its schema, or the first problem with it, as a phrase that names the field. `field` is empty where
 * the value as a whole is wrong.
 */
export type Checked<Data> =
  | { readonly ok: true; readonly data: Data }
  | { readonly ok: false; readonly field: string; readonly problem: string; readonly cause: unknown };

/**
 * Checks a value against a schema. All messages about values that do not fit come from here: `problem` reads like
 * `messages[0].content: expected a string`, contains none of Zod's words and nothing of the value, and has no full
 * stop.
 */
export function check<Schema extends z.ZodType>(schema: Schema, value: unknown): Checked<z.output<Schema>> {
  const result = schema.safeParse(value, inPlainWords);
  if (result.success) return { ok: true, data: result.data };
  const [issue] = result.error.issues;
  const field = fieldName(issue?.path ?? []);
  const text = issue?.message ?? 'expected something else';
  const isMissing = field !== '' && valueAt(value, issue?.path ?? []) === undefined;
  const where = isMissing ? `${field} is missing` : field;
  return { ok: false, field, problem: where === '' ? text : `${where}: ${text}`, cause: result.error };
}

/** Returns the value at a path; undefined where the path leads nowhere. */
export function valueAt(whole: unknown, path: readonly PropertyKey[]): unknown {
  let value = whole;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return value;
}
