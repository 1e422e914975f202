import { SkeinError } from '@skein/protocol';

/** A place in a schema: a key below another place. The root has no parent. */
export interface SchemaPath {
  readonly parent: SchemaPath | undefined;
  readonly key: string | number;
}

export const rootPath: SchemaPath = { parent: undefined, key: '' };

/** A schema and its place in the document. */
export interface Located {
  readonly schema: SchemaObject | boolean;
  readonly path: SchemaPath;
}

export type SchemaObject = Readonly<Record<string, unknown>>;

/** Name of the request's parameter with the schema, in the words of the HTTP API. */
const parameter = 'response_format.json_schema.schema';
const longestPath = 300;
const longestKey = 64;

/** Returns the place that keys lead to from another place. */
export function below(path: SchemaPath, ...keys: (string | number)[]): SchemaPath {
  return keys.reduce<SchemaPath>((parent, key) => ({ parent, key }), path);
}

/**
 * Renders a place as `.properties.a.items[0]`. Names that are no words go into brackets; long places are cut in the
 * middle.
 */
export function renderPath(path: SchemaPath): string {
  const keys: string[] = [];
  for (let at = path; at.parent !== undefined; at = at.parent) keys.push(renderKey(at.key));
  const text = keys.reverse().join('');
  if (text.length <= longestPath) return text;
  return `${text.slice(0, longestPath / 2)}…${text.slice(-longestPath / 2)}`;
}

function renderKey(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  if (/^[\w$-]{1,64}$/.test(key)) return `.${key}`;
  return `[${quote(key)}]`;
}

/** Returns a text from the schema as JSON, cut to a bounded length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > longestKey ? `${text.slice(0, longestKey)}…` : text);
}

/**
 * Makes the error `invalid-request` for a schema that can't be followed.
 *
 * @param path the keyword at fault; its place is in the message and, as the request's parameter, in `details.param`
 */
export function refusal(path: SchemaPath, reason: string, cause?: unknown): SkeinError {
  const place = renderPath(path);
  const shown = place === '' ? '' : `${place.replace(/^\./, '')}: `;
  return new SkeinError('invalid-request', `the JSON schema can't be followed: ${shown}${reason}`, {
    cause,
    details: { param: `${parameter}${place}` },
  });
}

/** Makes the error `invalid-request` for a schema whose grammar would be too large to follow. */
export function tooLarge(cause?: unknown): SkeinError {
  return refusal(
    rootPath,
    'it makes too large a grammar; make it smaller, e.g. by fewer properties or repetitions',
    cause,
  );
}
