import type { z } from 'zod';

import { check, type Checked } from './check.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Checks the JSON text in a file's bytes against a schema, as {@link check} does. Its problem never quotes the text,
 * JSON or not.
 */
export function checkJson<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array): Checked<z.output<Schema>> {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    return { ok: false, field: '', problem: bytes.byteLength === 0 ? 'it is empty' : 'it is not JSON', cause };
  }
  return check(schema, value);
}
