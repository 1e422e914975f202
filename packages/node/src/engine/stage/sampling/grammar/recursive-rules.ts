import { invariant } from '@skein/protocol';

import type { Expression, Grammar } from './parse-grammar.ts';

/**
 * Returns the rules that may derive a text with themselves in it, and those on a way from one of these to another. They
 * remain when rules that use only other rules, or are used by no others, are removed again and again.
 */
export function recursiveRules(grammar: Grammar): ReadonlySet<string> {
  const uses = new Map([...grammar].map(([name, expression]) => [name, new Set(namesIn(expression))]));
  const usedBy = new Map([...grammar.keys()].map((name) => [name, new Set<string>()]));
  for (const [name, used] of uses) for (const one of used) neighbours(usedBy, one).add(name);
  const left = new Set(grammar.keys());
  for (const [from, to] of [
    [uses, usedBy],
    [usedBy, uses],
  ] as const) {
    const open = new Map([...left].map((name) => [name, countOf(neighbours(from, name), left)]));
    const ready = [...left].filter((name) => open.get(name) === 0);
    for (let name = ready.pop(); name !== undefined; name = ready.pop()) {
      left.delete(name);
      for (const other of neighbours(to, name)) {
        const count = (open.get(other) ?? 0) - 1;
        open.set(other, count);
        if (count === 0 && left.has(other)) ready.push(other);
      }
    }
  }
  return left;
}

function neighbours(edges: ReadonlyMap<string, Set<string>>, name: string): Set<string> {
  return invariant(edges.get(name), `no rule ${name}`);
}

function countOf(names: ReadonlySet<string>, among: ReadonlySet<string>): number {
  return [...names].filter((name) => among.has(name)).length;
}

function namesIn(expression: Expression): readonly string[] {
  switch (expression.kind) {
    case 'text':
    case 'character':
      return [];
    case 'rule':
      return [expression.name];
    case 'repetition':
      return namesIn(expression.of);
    case 'sequence':
      return expression.parts.flatMap(namesIn);
    case 'choice':
      return expression.options.flatMap(namesIn);
  }
}
