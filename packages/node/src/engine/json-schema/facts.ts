import { isTrivial, keywordKind } from './keywords.ts';
import { below, quote, refusal, type Located, type SchemaObject, type SchemaPath } from './refusal.ts';
import { isSchemaObject, type Draft } from './schema-document.ts';
import { hasType, typeNames, type TypeName } from './type-names.ts';

/** A list that a value has to be in. */
export interface ValueList {
  readonly keyword: 'enum' | 'const';
  readonly values: readonly unknown[];
}

export interface NumberFacts {
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly exclusiveMinimum: number | undefined;
  readonly exclusiveMaximum: number | undefined;
  readonly multipleOf: number | undefined;
}

export interface StringFacts {
  readonly minLength: number | undefined;
  readonly maxLength: number | undefined;
}

export interface ArrayFacts {
  /** Schemas of the first items. */
  readonly prefix: readonly Located[];
  /** Schema of all other items. */
  readonly rest: Located | undefined;
  readonly minItems: number | undefined;
  readonly maxItems: number | undefined;
  readonly uniqueItems: boolean;
}

export interface ObjectFacts {
  readonly properties: ReadonlyMap<string, Located> | undefined;
  readonly required: readonly string[];
  /** Schema of properties that are not named. */
  readonly additional: Located | undefined;
  readonly minProperties: number | undefined;
  readonly maxProperties: number | undefined;
}

/** Demands on an object that has a certain property. */
export interface Dependency {
  readonly keyword: 'dependencies' | 'dependentRequired' | 'dependentSchemas';
  readonly property: string;
  readonly schema: Located;
}

/**
 * One schema object, read and checked. Applicators (`$ref`, `allOf`, ...) are places, which are read when they are
 * reached.
 */
export interface SchemaFacts {
  readonly path: SchemaPath;
  readonly types: ReadonlySet<TypeName> | undefined;
  readonly valueLists: readonly ValueList[];
  readonly format: string | undefined;
  readonly reference: string | undefined;
  readonly allOf: readonly Located[];
  readonly anyOf: readonly Located[] | undefined;
  readonly oneOf: readonly Located[] | undefined;
  readonly not: Located | undefined;
  readonly dependencies: readonly Dependency[];
  readonly string: StringFacts;
  readonly number: NumberFacts;
  readonly array: ArrayFacts;
  readonly object: ObjectFacts;
  /** Keywords that can't be followed, by the type of the values that they describe. */
  readonly unsupported: readonly { readonly keyword: string; readonly about: TypeName | 'any' }[];
  /** Types that the schema's keywords describe. */
  readonly describes: ReadonlySet<TypeName>;
}

/** Returns the facts of a schema without keywords. */
export function emptyFacts(path: SchemaPath): SchemaFacts {
  return {
    path,
    types: undefined,
    valueLists: [],
    format: undefined,
    reference: undefined,
    allOf: [],
    anyOf: undefined,
    oneOf: undefined,
    not: undefined,
    dependencies: [],
    string: { minLength: undefined, maxLength: undefined },
    number: {
      minimum: undefined,
      maximum: undefined,
      exclusiveMinimum: undefined,
      exclusiveMaximum: undefined,
      multipleOf: undefined,
    },
    array: { prefix: [], rest: undefined, minItems: undefined, maxItems: undefined, uniqueItems: false },
    object: {
      properties: undefined,
      required: [],
      additional: undefined,
      minProperties: undefined,
      maxProperties: undefined,
    },
    unsupported: [],
    describes: new Set(),
  };
}

/**
 * Reads one schema object.
 *
 * @throws SkeinError `invalid-request`, with the keyword's place, for a keyword that is unknown or malformed
 */
export function readFacts(schema: SchemaObject, path: SchemaPath, draft: Draft | undefined): SchemaFacts {
  const reader = new FactsReader(schema, path);
  const unsupported = reader.unsupported();
  const properties = reader.map('properties');
  if (schema['nullable'] === true) {
    throw refusal(below(path, 'nullable'), 'it is no keyword of JSON Schema; add "null" to `type` instead');
  }
  const facts: SchemaFacts = {
    path,
    types: reader.types(),
    valueLists: reader.valueLists(),
    format: reader.text('format'),
    reference: reader.text('$ref'),
    allOf: reader.list('allOf') ?? [],
    anyOf: reader.list('anyOf'),
    oneOf: reader.list('oneOf'),
    not: reader.schema('not'),
    dependencies: reader.dependencies(),
    string: { minLength: reader.count('minLength'), maxLength: reader.count('maxLength') },
    number: reader.numbers(),
    array: reader.array(draft),
    object: {
      properties,
      required: reader.names('required'),
      additional: reader.schema('additionalProperties'),
      minProperties: reader.count('minProperties'),
      maxProperties: reader.count('maxProperties'),
    },
    unsupported,
    describes: reader.describes(unsupported),
  };
  return facts;
}

const describing: Readonly<Record<'string' | 'array' | 'object' | 'number', readonly string[]>> = {
  string: ['minLength', 'maxLength'],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  object: [
    'properties',
    'required',
    'additionalProperties',
    'minProperties',
    'maxProperties',
    'dependencies',
    'dependentRequired',
    'dependentSchemas',
  ],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

class FactsReader {
  readonly #schema: SchemaObject;
  readonly #path: SchemaPath;

  constructor(schema: SchemaObject, path: SchemaPath) {
    this.#schema = schema;
    this.#path = path;
  }

  unsupported(): SchemaFacts['unsupported'] {
    const found: { keyword: string; about: TypeName | 'any' }[] = [];
    for (const [keyword, value] of Object.entries(this.#schema)) {
      const kind = keywordKind(keyword);
      if (kind.kind === 'unknown') {
        throw refusal(below(this.#path, keyword), 'it is no keyword that is known; remove it, or begin it with "x-"');
      }
      if (kind.kind === 'unsupported' && !isTrivial(keyword, value)) found.push({ keyword, about: kind.about });
    }
    return found;
  }

  types(): SchemaFacts['types'] {
    const value = this.#own('type');
    if (value === undefined) return undefined;
    const named: unknown[] = Array.isArray(value) ? value : [value];
    const types = new Set<TypeName>();
    for (const name of named) {
      const type = typeNames.find((known) => known === name);
      if (type === undefined) throw this.#wrong('type', `must be one of ${typeNames.join(', ')}, or a list of them`);
      types.add(type);
    }
    if (types.size === 0) throw this.#wrong('type', 'must name a type');
    return types;
  }

  valueLists(): readonly ValueList[] {
    const lists: ValueList[] = [];
    const values = this.#own('enum');
    if (values !== undefined) {
      if (!Array.isArray(values) || values.length === 0) throw this.#wrong('enum', 'must be a list of values');
      lists.push({ keyword: 'enum', values });
    }
    if (Object.hasOwn(this.#schema, 'const')) lists.push({ keyword: 'const', values: [this.#schema['const']] });
    const types = this.types();
    const other = lists.find((list) => types !== undefined && !list.values.some((value) => hasType(value, types)));
    if (other !== undefined) throw this.#wrong(other.keyword, 'has no value of the type that is asked for');
    return lists;
  }

  text(keyword: string): string | undefined {
    const value = this.#own(keyword);
    if (value !== undefined && typeof value !== 'string') throw this.#wrong(keyword, 'must be a string');
    return value;
  }

  /** Reads a number of characters, items or properties. */
  count(keyword: string): number | undefined {
    const value = this.#own(keyword);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
      throw this.#wrong(keyword, 'must be a whole number from 0 on');
    }
    return value;
  }

  schema(keyword: string): Located | undefined {
    const value = this.#own(keyword);
    return value === undefined ? undefined : this.#located(value, keyword);
  }

  list(keyword: string): readonly Located[] | undefined {
    const value = this.#own(keyword);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length === 0) throw this.#wrong(keyword, 'must be a list of schemas');
    return value.map((item: unknown, index) => this.#located(item, keyword, index));
  }

  map(keyword: string): ReadonlyMap<string, Located> | undefined {
    const value = this.#own(keyword);
    if (value === undefined) return undefined;
    if (!isSchemaObject(value)) throw this.#wrong(keyword, 'must be an object of schemas');
    return new Map(Object.entries(value).map(([name, item]) => [name, this.#located(item, keyword, name)]));
  }

  names(keyword: string, value: unknown = this.#own(keyword)): readonly string[] {
    if (value === undefined) return [];
    const isList = Array.isArray(value) && value.every((name) => typeof name === 'string');
    if (!isList) throw this.#wrong(keyword, 'must be a list of names');
    return value;
  }

  dependencies(): readonly Dependency[] {
    const found: Dependency[] = [];
    for (const keyword of ['dependencies', 'dependentRequired', 'dependentSchemas'] as const) {
      const value = this.#own(keyword);
      if (value === undefined) continue;
      if (!isSchemaObject(value)) throw this.#wrong(keyword, 'must be an object');
      for (const [property, needs] of Object.entries(value)) {
        const path = below(this.#path, keyword, property);
        const isNames = keyword === 'dependentRequired' || (keyword === 'dependencies' && Array.isArray(needs));
        const schema = isNames
          ? { schema: { required: this.names(keyword, needs) }, path }
          : this.#located(needs, keyword, property);
        found.push({ keyword, property, schema });
      }
    }
    return found;
  }

  numbers(): NumberFacts {
    const [minimum, maximum] = [this.#number('minimum'), this.#number('maximum')];
    const exclusive = (keyword: string, bound: number | undefined): number | undefined => {
      const value = this.#own(keyword);
      // Draft 4 has flags beside the bounds.
      if (typeof value === 'boolean') return value ? bound : undefined;
      return this.#number(keyword);
    };
    const multipleOf = this.#number('multipleOf');
    if (multipleOf !== undefined && multipleOf <= 0) throw this.#wrong('multipleOf', 'must be greater than 0');
    return {
      minimum,
      maximum,
      exclusiveMinimum: exclusive('exclusiveMinimum', minimum),
      exclusiveMaximum: exclusive('exclusiveMaximum', maximum),
      multipleOf,
    };
  }

  /**
   * Reads the items by their position: `prefixItems` and `items` since draft 2020-12, lists of `items` and
   * `additionalItems` before.
   */
  array(draft: Draft | undefined): ArrayFacts {
    const isTuple = Array.isArray(this.#own('items'));
    const prefixItems = this.list('prefixItems');
    if (prefixItems !== undefined && (isTuple || (draft !== undefined && draft < 9))) {
      throw this.#wrong('prefixItems', 'belongs to draft 2020-12, and `items` is then no list');
    }
    const uniqueItems = this.#own('uniqueItems') ?? false;
    if (typeof uniqueItems !== 'boolean') throw this.#wrong('uniqueItems', 'must be true or false');
    return {
      prefix: isTuple ? this.#tuple() : (prefixItems ?? []),
      rest: isTuple ? this.schema('additionalItems') : this.schema('items'),
      minItems: this.count('minItems'),
      maxItems: this.count('maxItems'),
      uniqueItems,
    };
  }

  describes(unsupported: SchemaFacts['unsupported']): ReadonlySet<TypeName> {
    const described = new Set<TypeName>();
    for (const type of ['string', 'array', 'object', 'number'] as const) {
      if (describing[type].some((keyword) => Object.hasOwn(this.#schema, keyword))) described.add(type);
    }
    for (const { about } of unsupported) if (about !== 'any') described.add(about);
    if (Object.hasOwn(this.#schema, 'format')) described.add('string');
    return described;
  }

  #tuple(): readonly Located[] {
    const items = this.#own('items');
    return Array.isArray(items) ? items.map((item: unknown, index) => this.#located(item, 'items', index)) : [];
  }

  #number(keyword: string): number | undefined {
    const value = this.#own(keyword);
    if (value !== undefined && typeof value !== 'number') throw this.#wrong(keyword, 'must be a number');
    return value;
  }

  #located(schema: unknown, ...keys: (string | number)[]): Located {
    const path = below(this.#path, ...keys);
    if (typeof schema !== 'boolean' && !isSchemaObject(schema)) throw refusal(path, 'it is not a schema');
    return { schema, path };
  }

  #own(keyword: string): unknown {
    return Object.hasOwn(this.#schema, keyword) ? this.#schema[keyword] : undefined;
  }

  #wrong(keyword: string, reason: string): Error {
    return refusal(below(this.#path, keyword), `it ${reason}`);
  }
}

/** Returns a schema's own facts, without the schemas that it names. */
export function withoutApplicators(facts: SchemaFacts): SchemaFacts {
  const none = { reference: undefined, allOf: [], anyOf: undefined, oneOf: undefined, not: undefined };
  return { ...facts, ...none, dependencies: [] };
}

/** Returns a value from the schema as text for messages, cut to a bounded length. */
export function nameValue(value: unknown): string {
  return quote(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}
