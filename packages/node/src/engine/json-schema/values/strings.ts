import { greatest, least } from '../analysis/bounds.ts';
import type { SchemaFacts } from '../facts.ts';
import { repeat, rule, sequence, text, type GrammarNode } from '../grammar/node.ts';
import { below, quote, refusal, type SchemaPath } from '../refusal.ts';
import { formatNode, isKnownFormat } from './formats.ts';
import type { NodeContext } from './objects.ts';

/** Longest string, in characters: longer ones are left out where they are allowed, and refused where they are demanded. */
export const longestString = 100_000;

/**
 * Makes a node for strings that follow all of the schemas.
 *
 * @throws SkeinError `invalid-request` for a format that is unknown, or strings that are too long
 */
export function stringNode(schemas: readonly SchemaFacts[], path: SchemaPath, { shared }: NodeContext): GrammarNode {
  const shortest = greatest(schemas.map(({ string }) => string.minLength)) ?? 0;
  const longest = least(schemas.map(({ string }) => string.maxLength));
  if (longest !== undefined && shortest > longest) {
    return {
      type: 'never',
      because: refusal(path, `no string has at least ${shortest} and at most ${longest} characters`),
    };
  }
  const asking = schemas.find(({ string }) => (string.minLength ?? 0) > longestString);
  if (asking !== undefined) {
    throw refusal(
      below(asking.path, 'minLength'),
      `strings of more than ${longestString} characters can't be followed`,
    );
  }
  const formatted = schemas.filter(
    ({ format }) => format !== undefined && format !== 'binary' && format !== 'password',
  );
  const [first, ...others] = formatted;
  if (first !== undefined) {
    const other = others.find(({ format }) => format !== first.format);
    if (other !== undefined) throw refusal(below(other.path, 'format'), 'two formats for one string are not followed');
    const node = formattedString(first, { shortest, longest }, schemas);
    return shared(`format ${first.format ?? ''} ${longest ?? ''}`, () => node);
  }
  if (shortest === 0 && longest === undefined) return rule('string');
  const most = longest === undefined ? Infinity : Math.min(longest, longestString);
  const node = sequence(text('"'), repeat(rule('character'), shortest, most), text('"'));
  return shared(`string ${shortest} ${most}`, () => node);
}

function formattedString(
  { format = '', path }: SchemaFacts,
  { shortest, longest }: { readonly shortest: number; readonly longest: number | undefined },
  schemas: readonly SchemaFacts[],
): GrammarNode {
  if (!isKnownFormat(format)) {
    throw refusal(
      below(path, 'format'),
      `${quote(format)} is no format that is followed; remove it to allow any string`,
    );
  }
  const made = formatNode(format, longest ?? Infinity);
  if (made === undefined || (longest !== undefined && made.longest > longest)) {
    const at = schemas.find(({ string }) => string.maxLength === longest)?.path ?? path;
    throw refusal(below(at, 'maxLength'), `it leaves too little room for the format ${quote(format)}`);
  }
  if (made.shortest < shortest) {
    const at = schemas.find(({ string }) => string.minLength === shortest)?.path ?? path;
    throw refusal(below(at, 'minLength'), `it is not followed beside the format ${quote(format)}`);
  }
  return sequence(text('"'), made.node, text('"'));
}
