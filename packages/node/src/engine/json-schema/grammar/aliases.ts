import type { Grammar, GrammarNode } from './node.ts';

/** Replaces rules that only name another rule by that rule, except for `root`. */
export function withoutAliases(grammar: Grammar): Grammar {
  const target = (name: string): string => {
    let at = name;
    // As many steps as there are rules: rules that only name each other would go on for ever.
    for (let steps = 0; steps < grammar.size; steps += 1) {
      const node = grammar.get(at);
      if (node?.type !== 'rule') return at;
      at = node.name;
    }
    return at;
  };
  const kept = [...grammar].filter(([name, node]) => name === 'root' || node.type !== 'rule');
  return new Map(kept.map(([name, node]) => [name, renamed(node, target)]));
}

function renamed(node: GrammarNode, target: (name: string) => string): GrammarNode {
  switch (node.type) {
    case 'rule':
      return { ...node, name: target(node.name) };
    case 'sequence':
      return { ...node, parts: node.parts.map((part) => renamed(part, target)) };
    case 'choice':
      return { ...node, alternatives: node.alternatives.map((alternative) => renamed(alternative, target)) };
    case 'repeat':
      return { ...node, of: renamed(node.of, target) };
    default:
      return node;
  }
}
