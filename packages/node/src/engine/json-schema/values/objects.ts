import { greatest, least } from '../analysis/bounds.ts';
import type { SchemaFacts } from '../facts.ts';
import { choice, nothing, optional, repeat, rule, sequence, text, type GrammarNode } from '../grammar/node.ts';
import { below, quote, refusal, type Located, type SchemaPath } from '../refusal.ts';
import { anyKey, keysExcept } from './keys.ts';

/** The parts of the converter that makers of nodes need. */
export interface NodeContext {
  /** Returns a reference to the rule for a value that follows all of these schemas. */
  readonly valueOf: (schemas: readonly Located[]) => GrammarNode;
  /** Adds a rule and returns a reference to it. */
  readonly define: (node: GrammarNode) => GrammarNode;
  /** Returns a reference to the one rule with this key, which is made at its first use. */
  readonly shared: (key: string, make: () => GrammarNode) => GrammarNode;
  readonly spend: (steps: number) => void;
}

interface Property {
  readonly name: string;
  readonly isRequired: boolean;
  /** The node for `"name": value`. */
  readonly node: GrammarNode;
}

/** Names of properties that a schema lists, and its demands on others. */
export interface ObjectShape {
  /** Names in the order in which they are written. */
  readonly names: readonly string[];
  readonly required: ReadonlySet<string>;
  /** Schemas of values with other names; undefined where other names are not allowed. */
  readonly others: readonly Located[] | undefined;
}

/** Returns the properties in the order in which schemas name them, followed by required ones that no schema names. */
export function shapeOf(schemas: readonly SchemaFacts[]): ObjectShape {
  const required = new Set(schemas.flatMap(({ object }) => object.required));
  const names = new Set(schemas.flatMap(({ object }) => [...(object.properties?.keys() ?? [])]));
  for (const name of required) names.add(name);
  const additional = schemas.flatMap(({ object }) => object.additional ?? []);
  const isClosed = schemas.some(({ object }) => object.additional === undefined && namesProperties(object));
  const isOpened = additional.some(({ schema }) => schema !== false);
  const isForbidden = additional.some(({ schema }) => schema === false);
  return { names: [...names], required, others: isForbidden || (isClosed && !isOpened) ? undefined : additional };
}

/** Tells whether a schema lists properties that objects have, rather than ones that they lack. */
function namesProperties({ properties }: SchemaFacts['object']): boolean {
  if (properties === undefined) return false;
  return properties.size === 0 || [...properties.values()].some(({ schema }) => schema !== false);
}

/**
 * Makes a node for objects that follow all of the schemas: the named properties in their order, then others where
 * schemas ask for them.
 *
 * @throws SkeinError `invalid-request` for numbers of properties that a grammar can't count
 */
export function objectNode(
  schemas: readonly SchemaFacts[],
  shape: ObjectShape,
  path: SchemaPath,
  context: NodeContext,
): GrammarNode {
  if (shape.names.length === 0 && shape.others?.length === 0 && !schemas.some(isCounted)) return rule('object');
  context.spend(shape.names.length * schemas.length);
  const space = rule('space');
  const properties = shape.names.map((name): Property => {
    const key = text(`${JSON.stringify(name)}:`);
    return { name, isRequired: shape.required.has(name), node: sequence(key, space, valueOf(name, schemas, context)) };
  });
  const others = othersOf(shape, context);
  const counted = count(schemas, shape);
  const more = others === undefined ? undefined : { node: others, most: counted.most - properties.length };
  const all = list(properties, more, context);
  const isEmptyAllowed = shape.required.size === 0 && counted.least === 0;
  const filled = all === undefined ? undefined : sequence(all, space);
  if (filled === undefined) {
    if (isEmptyAllowed) return sequence(text('{'), space, text('}'));
    return { type: 'never', because: refusal(path, 'it asks for properties that it does not allow') };
  }
  return sequence(text('{'), space, isEmptyAllowed ? optional(filled) : filled, text('}'));
}

function isCounted({ object }: SchemaFacts): boolean {
  return object.minProperties !== undefined || object.maxProperties !== undefined;
}

/**
 * Returns the node for the value of a named property: each schema's demand on that name, or on names that it does not
 * list.
 */
function valueOf(name: string, schemas: readonly SchemaFacts[], { valueOf: node }: NodeContext): GrammarNode {
  const located = schemas.flatMap(({ object }) => object.properties?.get(name) ?? object.additional ?? []);
  const closing = schemas.find(
    ({ object }) => object.properties?.has(name) !== true && object.additional?.schema === false,
  );
  const asking = schemas.find(({ object }) => object.required.includes(name));
  if (closing !== undefined && asking !== undefined) {
    const reason = `${quote(name)} is required, and ${quote('additionalProperties')} forbids it`;
    return { type: 'never', because: refusal(below(asking.path, 'required'), reason) };
  }
  return node(located);
}

function othersOf({ names, others }: ObjectShape, { valueOf: node, define }: NodeContext): GrammarNode | undefined {
  if (others === undefined) return undefined;
  const key = names.length === 0 ? anyKey : define(keysExcept(names, define));
  return define(sequence(key, text(':'), rule('space'), node(others)));
}

/**
 * Returns the bounds on how many properties an object has. A grammar counts no names, so only bounds that hold anyway
 * can be demanded.
 *
 * @throws SkeinError `invalid-request` for other bounds
 */
function count(
  schemas: readonly SchemaFacts[],
  { names, required }: ObjectShape,
): { readonly least: 0 | 1; readonly most: number } {
  const fewest = greatest(schemas.map(({ object }) => object.minProperties)) ?? 0;
  const most = least(schemas.map(({ object }) => object.maxProperties)) ?? Infinity;
  const asking = (keyword: 'minProperties' | 'maxProperties', value: number): SchemaPath => {
    const facts = schemas.find(({ object }) => object[keyword] === value);
    return below(facts?.path ?? { parent: undefined, key: '' }, keyword);
  };
  if (fewest > Math.max(1, required.size)) {
    throw refusal(
      asking('minProperties', fewest),
      `at least ${fewest} properties can't be counted; name the required ones`,
    );
  }
  if (names.length > most) {
    throw refusal(asking('maxProperties', most), `at most ${most} of ${names.length} properties can't be counted`);
  }
  return { least: fewest > 0 ? 1 : 0, most };
}

interface OtherProperties {
  readonly node: GrammarNode;
  readonly most: number;
}

/**
 * Makes a node for one property or more, with commas between: all that are required, and others. Undefined when there
 * is none.
 */
function list(
  properties: readonly Property[],
  others: OtherProperties | undefined,
  { define }: NodeContext,
): GrammarNode | undefined {
  const comma = sequence(text(','), rule('space'));
  const following = ({ node, isRequired }: Property): GrammarNode =>
    isRequired ? sequence(comma, node) : optional(sequence(comma, node));
  const hasOthers = others !== undefined && others.most > 0;
  const othersBehind = hasOthers ? repeat(sequence(comma, others.node), 0, others.most) : nothing;
  const firstRequired = properties.findIndex(({ isRequired }) => isRequired);
  // Each property up to the first that is required may come first; what follows it is a rule, which those before it use.
  const leading = firstRequired === -1 ? properties : properties.slice(0, firstRequired + 1);
  let rest = sequence(...properties.slice(leading.length).map(following), othersBehind);
  if (leading.length > 1) rest = define(rest);
  const first: GrammarNode[] = [];
  if (hasOthers && firstRequired === -1) {
    first.push(sequence(others.node, repeat(sequence(comma, others.node), 0, others.most - 1)));
  }
  for (const property of leading.toReversed()) {
    first.push(sequence(property.node, rest));
    if (property !== leading[0]) rest = define(sequence(following(property), rest));
  }
  const [one, ...more] = first.reverse();
  return one === undefined ? undefined : choice(one, ...more);
}
