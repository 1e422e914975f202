import type { Grammar, GrammarNode } from './node.ts';

/**
 * Returns how many elements a grammar has when its repetitions are written out, as llama.cpp does: a group is a rule of
 * its own, of which references are repeated.
 */
export function sizeOf(grammar: Grammar): number {
  return [...grammar.values()].reduce((sum, node) => sum + 1 + elementsOf(node), 0);
}

function elementsOf(node: GrammarNode): number {
  switch (node.type) {
    case 'text':
      return node.text.length;
    case 'characters':
      return node.ranges.length;
    case 'sequence':
      return node.parts.reduce((sum, part) => sum + elementsOf(part), 0);
    case 'choice':
      return node.alternatives.reduce((sum, alternative) => sum + 1 + elementsOf(alternative), 0);
    case 'repeat': {
      const times = node.most === Infinity ? node.least + 1 : node.most;
      const isSingle = node.of.type === 'rule' || node.of.type === 'characters';
      return isSingle ? elementsOf(node.of) * times : elementsOf(node.of) + times;
    }
    case 'rule':
    case 'never':
      return 1;
  }
}
