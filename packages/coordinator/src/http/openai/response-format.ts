import { limits } from '@skein/protocol';
import { z } from 'zod';

const tooLong = { error: `expected at most ${limits.maxSchemaCharacters} characters of JSON` };

const jsonSchema = z.strictObject({
  name: z.string().regex(/^[\w-]{1,64}$/, { error: 'expected 1 to 64 letters, digits, underscores or dashes' }),
  description: z.string().nullish(),
  schema: z
    .record(z.string(), z.unknown())
    .refine((schema) => !isLongerThan(schema, limits.maxSchemaCharacters), tooLong)
    .transform((schema) => JSON.stringify(schema))
    .refine((schema) => schema.length <= limits.maxSchemaCharacters, tooLong)
    .nullish(),
  // Followed to the letter in either case.
  strict: z.boolean().nullish(),
});

/** The format of the text: `text`, `json_object` or `json_schema`. */
export const responseFormatSchema = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({ type: z.literal('json_schema'), json_schema: jsonSchema }),
  ],
  { error: 'expected an object whose type is "text", "json_object" or "json_schema"' },
);
export type ResponseFormat = z.output<typeof responseFormatSchema>;

/** Schema of the format `json_object`, and of a `json_schema` that has none. */
const anyObject = '{"type":"object"}';

/** Returns the JSON schema that the text has to follow; undefined for plain text. */
export function jsonSchemaOf(format: ResponseFormat | undefined): string | undefined {
  if (format === undefined || format.type === 'text') return undefined;
  return (format.type === 'json_schema' ? format.json_schema.schema : undefined) ?? anyObject;
}

/**
 * Tells whether a JSON value has more than so many characters when it is written out. Stops counting there, and counts
 * fewer than there are: no marks, no escapes.
 */
function isLongerThan(value: unknown, maxCharacters: number): boolean {
  let characters = 0;
  const waiting: unknown[] = [value];
  while (waiting.length > 0 && characters <= maxCharacters) {
    const next = waiting.pop();
    characters += typeof next === 'string' ? next.length : 1;
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, entry] of Object.entries(next)) {
      characters += key.length;
      waiting.push(entry);
    }
  }
  return characters > maxCharacters;
}
