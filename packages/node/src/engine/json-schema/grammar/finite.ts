import type { SkeinError } from '@skein/protocol';

import { nothing, type Grammar, type GrammarNode } from './node.ts';

/**
 * Removes the parts of a grammar that derive no finite text: a model that enters one can never end its answer. Also
 * removes rules that are then unused.
 *
 * @param endless makes the error for a grammar that derives no text at all, when no keyword alone is at fault
 * @throws SkeinError when `root` derives no finite text: that of the keyword at fault, else that of `endless`
 */
export function withoutEndlessParts(grammar: Grammar, endless: () => SkeinError): Grammar {
  const finite = finiteRules(grammar);
  if (!finite.has('root')) throw explain(grammar, finite) ?? endless();
  const kept = new Map<string, GrammarNode>();
  const queue = ['root'];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const node = grammar.get(name);
    if (node === undefined || kept.has(name)) continue;
    const pruned = prune(node, finite) ?? nothing;
    kept.set(name, pruned);
    collectRules(pruned, queue);
  }
  return kept;
}

/**
 * Returns the names of rules that derive at least one finite text. Each round finds those whose parts earlier rounds
 * found.
 */
function finiteRules(grammar: Grammar): ReadonlySet<string> {
  const finite = new Set<string>();
  const users = new Map<string, string[]>();
  for (const [name, node] of grammar) {
    const used: string[] = [];
    collectRules(node, used);
    for (const other of new Set(used)) {
      const known = users.get(other);
      if (known === undefined) users.set(other, [name]);
      else known.push(name);
    }
  }
  const queue = [...grammar.keys()];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const node = grammar.get(name);
    if (finite.has(name) || node === undefined || !isFinite(node, finite)) continue;
    finite.add(name);
    queue.push(...(users.get(name) ?? []));
  }
  return finite;
}

function isFinite(node: GrammarNode, finite: ReadonlySet<string>): boolean {
  switch (node.type) {
    case 'text':
      return true;
    case 'characters':
      return node.ranges.length > 0;
    case 'never':
      return false;
    case 'rule':
      return finite.has(node.name);
    case 'sequence':
      return node.parts.every((part) => isFinite(part, finite));
    case 'choice':
      return node.alternatives.some((alternative) => isFinite(alternative, finite));
    case 'repeat':
      return node.least === 0 || isFinite(node.of, finite);
  }
}

/** Returns a node without its endless alternatives; undefined for one that is endless itself. */
function prune(node: GrammarNode, finite: ReadonlySet<string>): GrammarNode | undefined {
  if (!isFinite(node, finite)) return undefined;
  switch (node.type) {
    case 'sequence':
      return { ...node, parts: node.parts.map((part) => prune(part, finite) ?? nothing) };
    case 'choice': {
      const alternatives = node.alternatives.flatMap((alternative) => prune(alternative, finite) ?? []);
      const [only, ...more] = alternatives;
      return only !== undefined && more.length === 0 ? only : { ...node, alternatives };
    }
    case 'repeat': {
      const of = prune(node.of, finite);
      return of === undefined ? nothing : { ...node, of };
    }
    default:
      return node;
  }
}

/** Returns the reason of the first part that nothing can follow, on the way that every text has to take. */
function explain(grammar: Grammar, finite: ReadonlySet<string>): SkeinError | undefined {
  const seen = new Set<string>();
  const queue: GrammarNode[] = [{ type: 'rule', name: 'root' }];
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    if (isFinite(node, finite)) continue;
    if (node.type === 'never') return node.because;
    if (node.type === 'sequence') queue.push(...node.parts);
    if (node.type === 'choice') queue.push(...node.alternatives);
    if (node.type === 'repeat') queue.push(node.of);
    if (node.type !== 'rule' || seen.has(node.name)) continue;
    seen.add(node.name);
    const body = grammar.get(node.name);
    if (body !== undefined) queue.push(body);
  }
  return undefined;
}

function collectRules(node: GrammarNode, into: string[]): void {
  if (node.type === 'rule') into.push(node.name);
  if (node.type === 'sequence') for (const part of node.parts) collectRules(part, into);
  if (node.type === 'choice') for (const alternative of node.alternatives) collectRules(alternative, into);
  if (node.type === 'repeat') collectRules(node.of, into);
}
