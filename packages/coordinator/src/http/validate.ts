import { explainIssue, fieldName, firstIssueOnly, SkeinError, valueAt } from '@skein/protocol';
import type { z } from 'zod';

import type { Turns } from './turns.ts';

/**
 * Checks a request body; the first issue ends it.
 *
 * @throws SkeinError `invalid-request` in OpenAI's words, with the parameter at fault in `details.param`, from where it
 * gets into the error's `param`
 */
export function validate<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new SkeinError('invalid-request', 'the request body must be a JSON object');
  }
  return validateAt(schema, body, []);
}

/** Longest time for the elements of a list in one turn of the event loop, in milliseconds. */
const stepMs = 5;

/** Checks the elements of a list in the body, as {@link validate} does, in as many turns of the event loop as it takes. */
export async function validateEach<Schema extends z.ZodType>(
  schema: Schema,
  elements: readonly unknown[],
  { name, turns }: { readonly name: string; readonly turns: Turns },
): Promise<z.output<Schema>[]> {
  const valid: z.output<Schema>[] = [];
  let turnStartedMs = performance.now();
  for (const [index, element] of elements.entries()) {
    valid.push(validateAt(schema, element, [name, index]));
    if (performance.now() - turnStartedMs < stepMs) continue;
    await turns.next();
    turnStartedMs = performance.now();
  }
  return valid;
}

/**
 * Checks a value in the body.
 *
 * @param place where the value is in the body
 */
function validateAt<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  place: readonly PropertyKey[],
): z.output<Schema> {
  const result = schema.safeParse(value, { ...firstIssueOnly, error: explainIssue });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue === undefined) throw new SkeinError('invalid-request', 'the request body is invalid');
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
  const param = fieldName([...place, ...path]);
  throw new SkeinError('invalid-request', describe(issue, param, valueAt(value, path)), {
    details: param === '' ? {} : { param },
  });
}

function describe(issue: z.core.$ZodIssue, param: string, value: unknown): string {
  if (issue.code === 'unrecognized_keys') return `Unrecognized request argument supplied: ${param}`;
  if (value === undefined && issue.code !== 'custom') return `Missing required parameter: '${param}'`;
  return `Invalid value for '${param}': ${issue.message}`;
}
