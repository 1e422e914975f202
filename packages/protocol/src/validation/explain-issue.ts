import type { z } from 'zod';

/**
 * Says in plain words what a schema expects of a value that does not fit, and nothing about the value. Pass it as
 * `error` to `safeParse`: schemas with a message of their own keep it, and no text of Zod's is left.
 */
export function explainIssue(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${nameOfType(issue.expected)}`;
    case 'too_small':
      return `expected ${bound(issue.origin, { word: issue.inclusive === false ? 'more than' : 'at least', limit: issue.minimum })}`;
    case 'too_big':
      return `expected ${bound(issue.origin, { word: issue.inclusive === false ? 'less than' : 'at most', limit: issue.maximum })}`;
    case 'not_multiple_of':
      return `expected a multiple of ${issue.divisor}`;
    case 'invalid_value':
      return `expected ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'invalid_format':
      return issue.format === 'regex' ? 'expected text of another form' : `expected text in the format ${issue.format}`;
    case 'unrecognized_keys':
      return 'expected known names only';
    case 'invalid_union':
      return explainUnion(issue.errors, issue.options);
    case 'invalid_key':
      return `expected another name: ${explainNested(issue.issues)}`;
    case 'invalid_element':
      return explainNested(issue.issues);
    case 'custom':
      return 'expected something else';
  }
}

function nameOfType(type: string): string {
  switch (type) {
    case 'int':
      return 'a whole number';
    case 'record':
      return 'an object';
    case 'nonoptional':
      return 'a value';
    case 'undefined':
    case 'never':
      return 'nothing';
    case 'null':
      return 'null';
    default:
      return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
  }
}

function bound(origin: string, { word, limit }: { readonly word: string; readonly limit: number | bigint }): string {
  const amount = `${word} ${limit}`;
  if (origin === 'array') return `${amount} ${limit === 1 ? 'item' : 'items'}`;
  if (origin === 'string') return `${amount} ${limit === 1 ? 'character' : 'characters'}`;
  return `a number of ${amount}`;
}

/** Names each alternative once, or the missing part of the one alternative that the value came closest to. */
function explainUnion(branches: readonly z.core.$ZodIssue[][], options: unknown): string {
  if (Array.isArray(options)) return `expected ${options.map((value) => JSON.stringify(value)).join(' or ')}`;
  const firsts = branches.flatMap(([first]) => first ?? []);
  const deepest = firsts.find(({ path }) => path.length > 0);
  if (deepest !== undefined) return deepest.message;
  const [text = 'expected something else', ...others] = new Set(firsts.map(({ message }) => message));
  return [text, ...others.map((other) => other.replace(/^expected /, ''))].join(' or ');
}

function explainNested([issue]: readonly z.core.$ZodIssue[]): string {
  return issue?.message ?? 'expected something else';
}
