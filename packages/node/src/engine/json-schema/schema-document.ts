import { below, quote, refusal, rootPath, type Located, type SchemaObject, type SchemaPath } from './refusal.ts';

/**
 * Most levels of JSON in a schema. The most values of any kind follow; of 2,395 schemas that people use, the greatest
 * has 3,996.
 */
const deepestNesting = 64;
const mostValues = 8192;

/** Drafts by the number of their order; 2019-09 is 8, 2020-12 is 9. */
export type Draft = 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** A parsed schema, checked for depth and for numbers that fit a double, and the places in it that references name. */
export class SchemaDocument {
  readonly root: Located;
  /** The draft that `$schema` names; undefined where it names none that is known. */
  readonly draft: Draft | undefined;
  readonly #id: string | undefined;
  readonly #hasNestedIds: boolean;

  /** @throws SkeinError `invalid-request` for text that is no JSON schema, or is nested too deep or too large */
  constructor(json: string) {
    const schema = parse(json);
    this.root = { schema, path: rootPath };
    this.draft = typeof schema === 'boolean' ? undefined : draftOf(schema['$schema']);
    this.#id = typeof schema === 'boolean' ? undefined : idOf(schema);
    this.#hasNestedIds = hasNestedIds(schema);
  }

  /**
   * Finds the place that a reference names.
   *
   * @param path place of the `$ref`
   * @throws SkeinError `invalid-request` for a reference that leads out of this document or to no schema
   */
  resolve(reference: string, path: SchemaPath): Located {
    const pointer = this.#localPart(reference);
    if (pointer === undefined) {
      throw refusal(path, `${quote(reference)} leads out of this schema; copy the other schema into its "$defs"`);
    }
    if (this.#hasNestedIds) {
      throw refusal(path, 'it stands beside nested `$id`s, which change its meaning; remove them');
    }
    if (pointer !== '' && !pointer.startsWith('/')) {
      throw refusal(path, `${quote(reference)} is an anchor; write it as a JSON pointer like "#/$defs/name"`);
    }
    let value: unknown = this.root.schema;
    let at = rootPath;
    for (const part of pointer.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      at = below(at, Array.isArray(value) ? Number(key) : key);
      value = childOf(value, key);
      if (value === undefined) throw refusal(path, `there is nothing at ${quote(reference)}`);
    }
    if (typeof value !== 'boolean' && !isSchemaObject(value)) {
      throw refusal(path, `there is no schema at ${quote(reference)}`);
    }
    return { schema: value, path: at };
  }

  /**
   * Returns the decoded fragment of a reference into this document; undefined for a reference that leads out of it or
   * is malformed.
   */
  #localPart(reference: string): string | undefined {
    const [base = '', ...fragments] = reference.split('#');
    if (fragments.length !== 1 || (base !== '' && base !== this.#id)) return undefined;
    try {
      return decodeURIComponent(fragments.join(''));
    } catch {
      return undefined;
    }
  }
}

/** Tells whether a value is a JSON object, and so a schema object where a schema is due. */
export function isSchemaObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function childOf(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return /^(0|[1-9]\d{0,8})$/.test(key) ? (value as unknown[])[Number(key)] : undefined;
  return isSchemaObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function parse(json: string): SchemaObject | boolean {
  let schema: unknown;
  try {
    schema = JSON.parse(json);
  } catch (error) {
    throw refusal(rootPath, 'it is not JSON', error);
  }
  if (typeof schema !== 'boolean' && !isSchemaObject(schema)) throw refusal(rootPath, 'it is not an object');
  assertSound(schema);
  return schema;
}

/** Checks depth, number of values, and numbers, level by level: hostile depth would overflow a recursion. */
function assertSound(schema: unknown): void {
  let level: unknown[] = [schema];
  let values = 1;
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > deepestNesting) throw refusal(rootPath, `it is nested deeper than ${deepestNesting} levels`);
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw refusal(rootPath, 'it has a number that is too large for a double');
      }
      if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) next.push(child);
    }
    values += next.length;
    if (values > mostValues) throw refusal(rootPath, `it has more than ${mostValues} values; make it smaller`);
    level = next;
  }
}

function hasNestedIds(schema: SchemaObject | boolean): boolean {
  const queue: unknown[] = typeof schema === 'boolean' ? [] : Object.values(schema);
  while (queue.length > 0) {
    const value = queue.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (isSchemaObject(value) && idOf(value) !== undefined) return true;
    for (const child of Object.values(value)) queue.push(child);
  }
  return false;
}

/** Returns an id that changes the meaning of references. Drafts up to 7 also write anchors as `#name`, which do not. */
function idOf(schema: SchemaObject): string | undefined {
  const id = schema['$id'] ?? schema['id'];
  return typeof id === 'string' && !id.startsWith('#') ? id.replace(/#$/, '') : undefined;
}

function draftOf(uri: unknown): Draft | undefined {
  if (typeof uri !== 'string') return undefined;
  const [, number] = /^https?:\/\/json-schema\.org\/draft-0([3-7])\/schema#?$/.exec(uri) ?? [];
  if (number !== undefined) return Number(number) as Draft;
  if (/^https?:\/\/json-schema\.org\/draft\/2019-09\/schema#?$/.test(uri)) return 8;
  return /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/.test(uri) ? 9 : undefined;
}
