import { Text } from './text.ts';
import { typeName, type CallArguments, type Value } from './values.ts';

/**
 * Binds the arguments of a call to their names.
 *
 * @param names in the order in which they may be given without a name
 * @throws TypeError for more arguments than that, or for unknown names
 */
export function bindArguments<Name extends string>(
  called: string,
  names: readonly Name[],
  { positional, named }: CallArguments,
): Partial<Record<Name, Value>> {
  if (positional.length > names.length) {
    throw new TypeError(`${called}() takes at most ${names.length} arguments, got ${positional.length}`);
  }
  const bound: Partial<Record<Name, Value>> = {};
  for (const [index, name] of names.entries()) {
    if (index < positional.length) bound[name] = positional[index];
    else if (named.has(name)) bound[name] = named.get(name);
  }
  const unknown = [...named.keys()].find((name) => !(names as readonly string[]).includes(name));
  if (unknown !== undefined) throw new TypeError(`${called}() has no argument '${unknown}'`);
  return bound;
}

/**
 * Returns an argument that is a text.
 *
 * @throws TypeError when it is none
 */
export function textArgument(called: string, value: Value): Text {
  if (value instanceof Text) return value;
  throw new TypeError(`${called}() takes a text, got ${typeName(value)}`);
}

/**
 * Returns an argument that is an integer; a boolean counts as 0 or 1.
 *
 * @throws TypeError when it is none
 */
export function integerArgument(called: string, value: Value): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  throw new TypeError(`${called}() takes an integer, got ${typeName(value)}`);
}
