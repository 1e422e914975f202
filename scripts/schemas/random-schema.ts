import type { Random } from '../fixtures/random.ts';

type Schema = Readonly<Record<string, unknown>>;

const names = ['a', 'b', 'ab', 'c"', 'é'];
const types = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer'];
const values: readonly unknown[] = [
  null,
  true,
  0,
  1,
  -1.5,
  7,
  '',
  'a',
  'ab',
  'é"',
  [],
  [1],
  {},
  { a: 1 },
  { b: 'a', a: 1 },
];

const drafts = [
  '',
  'https://json-schema.org/draft/2020-12/schema',
  'https://json-schema.org/draft/2019-09/schema',
  'http://json-schema.org/draft-07/schema#',
  'http://json-schema.org/draft-06/schema#',
];

/** A source of schemas of keywords that are followed, in combinations that people don't think of. */
export class RandomSchemas {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Draws a schema whose references lead to one of its definitions or to itself. */
  draw(): Schema {
    const definitions = { d: this.#schema(2), e: this.#schema(2) };
    const draft = this.#pick(drafts);
    return { ...(draft === '' ? {} : { $schema: draft }), ...this.#object(3), $defs: definitions };
  }

  #schema(depth: number): Schema | boolean {
    if (this.#chance(0.05)) return this.#chance(0.8);
    return this.#object(depth);
  }

  #object(depth: number): Schema {
    const schema: Record<string, unknown> = {};
    const makers = this.#makers(depth - 1);
    const keywords = Object.keys(makers);
    if (this.#chance(0.7)) schema['type'] = this.#chance(0.8) ? this.#pick(types) : [this.#pick(types), 'null'];
    for (let count = this.#whole(4); count > 0; count -= 1) {
      const keyword = this.#pick(keywords);
      schema[keyword] = makers[keyword]?.();
    }
    return schema;
  }

  #makers(depth: number): Readonly<Record<string, () => unknown>> {
    const schema = (): unknown => this.#schema(depth);
    const simple = {
      enum: () => this.#some(values),
      const: () => this.#pick(values),
      minLength: () => this.#whole(4),
      maxLength: () => this.#whole(6),
      minimum: () => this.#whole(40) / 4 - 5,
      maximum: () => this.#whole(400) / 4 - 5,
      exclusiveMinimum: () => this.#whole(40) / 4 - 5,
      exclusiveMaximum: () => this.#whole(400) / 4 - 5,
      minItems: () => this.#whole(3),
      maxItems: () => this.#whole(5),
      minProperties: () => this.#whole(3),
      maxProperties: () => this.#whole(5),
      required: () => this.#some(names),
      dependentRequired: () => ({ [this.#pick(names)]: this.#some(names) }),
      format: () => this.#pick(['date', 'uri', 'email', 'int32']),
    };
    if (depth <= 0) return simple;
    const properties = (): unknown => Object.fromEntries(this.#some(names).map((name) => [name, schema()]));
    return {
      ...simple,
      properties,
      patternProperties: () => ({}),
      additionalProperties: schema,
      items: schema,
      prefixItems: () => [schema(), schema()].slice(this.#whole(2)),
      anyOf: () => [schema(), schema(), schema()].slice(this.#whole(3)),
      oneOf: () => [schema(), schema(), schema()].slice(this.#whole(3)),
      allOf: () => [schema(), schema()].slice(this.#whole(2)),
      not: schema,
      dependentSchemas: () => ({ [this.#pick(names)]: schema() }),
      $ref: () => this.#pick(['#', '#/$defs/d', '#/$defs/e']),
    };
  }

  #some<Item>(items: readonly Item[]): Item[] {
    const some = items.filter(() => this.#chance(0.4));
    return some.length === 0 ? [this.#pick(items)] : some;
  }

  #pick<Item>(items: readonly Item[]): Item {
    const item = items[this.#whole(items.length)];
    if (item === undefined) throw new Error('there is nothing to pick from');
    return item;
  }

  #whole(below: number): number {
    return Math.floor(this.#random.uniform() * below);
  }

  #chance(share: number): boolean {
    return this.#random.uniform() < share;
  }
}
