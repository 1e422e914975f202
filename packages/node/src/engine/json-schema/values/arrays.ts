import { greatest, least } from '../analysis/bounds.ts';
import type { SchemaFacts } from '../facts.ts';
import { nothing, optional, repeat, rule, sequence, text, type GrammarNode } from '../grammar/node.ts';
import { below, refusal, type Located, type SchemaPath } from '../refusal.ts';
import type { NodeContext } from './objects.ts';
import { listOf } from './shared-rules.ts';

/** Longest list, in items: longer ones are left out where they are allowed, and refused where they are demanded. */
export const longestList = 100_000;

/**
 * Makes a node for arrays that follow all of the schemas. A list of first items ends the array, unless a schema
 * describes more.
 *
 * @throws SkeinError `invalid-request` for lists that are too long, or whose items have to differ
 */
export function arrayNode(schemas: readonly SchemaFacts[], path: SchemaPath, context: NodeContext): GrammarNode {
  const fewest = greatest(schemas.map(({ array }) => array.minItems)) ?? 0;
  let most = least(schemas.map(({ array }) => array.maxItems)) ?? Infinity;
  if (fewest > most) {
    return { type: 'never', because: refusal(path, `no list has at least ${fewest} and at most ${most} items`) };
  }
  const unique = schemas.find(({ array }) => array.uniqueItems);
  if (unique !== undefined && most > 1) {
    throw refusal(below(unique.path, 'uniqueItems'), 'a grammar does not know which items were there; remove it');
  }
  const asking = schemas.find(({ array }) => (array.minItems ?? 0) > longestList);
  if (asking !== undefined) {
    throw refusal(below(asking.path, 'minItems'), `lists of more than ${longestList} items can't be followed`);
  }
  const first = greatest(schemas.map(({ array }) => array.prefix.length)) ?? 0;
  const rest = schemas.flatMap(({ array }) => array.rest ?? []);
  if (first > 0 && rest.length === 0) most = Math.min(most, Math.max(first, fewest));
  if (Number.isFinite(most)) most = Math.min(most, longestList);
  if (first === 0 && rest.length === 0 && fewest === 0 && most === Infinity) return rule('array');
  if (first === 0) return listOf(context.valueOf(rest), fewest, most);
  return tuple(schemas, { first: Math.min(first, most), fewest, most }, context);
}

function tuple(
  schemas: readonly SchemaFacts[],
  { first, fewest, most }: { readonly first: number; readonly fewest: number; readonly most: number },
  context: NodeContext,
): GrammarNode {
  context.spend(first * schemas.length);
  const comma = sequence(text(','), rule('space'));
  const space = rule('space');
  const itemAt = (index: number): GrammarNode => {
    const located = schemas.flatMap(({ array }): readonly Located[] => {
      const schema = array.prefix[index] ?? array.rest;
      return schema === undefined ? [] : [schema];
    });
    return context.valueOf(located);
  };
  let following: GrammarNode =
    most > first ? repeat(sequence(comma, itemAt(first)), Math.max(0, fewest - first), most - first) : nothing;
  for (let index = first - 1; index >= 0; index -= 1) {
    const item = sequence(...(index === 0 ? [] : [comma]), itemAt(index), following);
    const here = index < fewest ? item : optional(item);
    // Each position ends in a rule, so that groups don't nest as deep as the list is long.
    following = index === 0 ? item : context.define(here);
  }
  const items = sequence(following, space);
  if (first === 0) return sequence(text('['), space, text(']'));
  return sequence(text('['), space, fewest === 0 ? optional(items) : items, text(']'));
}
