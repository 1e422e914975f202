import type { z } from 'zod';

/** The text of an issue for whose schema nobody wrote one: what was expected, in plain words. */
export function explainIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${nameOfType(issue.expected)}`;
    case 'too_small':
      return `expected ${bound(issue.origin, { word: issue.inclusive === false ? 'more than' : 'at least', limit: issue.minimum })}`;
    case 'too_big':
      return `expected ${bound(issue.origin, { word: issue.inclusive === false ? 'less than' : 'at most', limit: issue.maximum })}`;
    case 'invalid_value':
      return `expected ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    default:
      return undefined;
  }
}

function nameOfType(type: string): string {
  if (type === 'int') return 'a whole number';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function bound(origin: string, { word, limit }: { readonly word: string; readonly limit: number | bigint }): string {
  const amount = `${word} ${limit}`;
  if (origin === 'array') return `${amount} ${limit === 1 ? 'item' : 'items'}`;
  if (origin === 'string') return `${amount} ${limit === 1 ? 'character' : 'characters'}`;
  return `a number of ${amount}`;
}
