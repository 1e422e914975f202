import type { Grammar, GrammarNode } from '../../packages/node/src/engine/json-schema/grammar/node.ts';
import type { Random } from '../fixtures/random.ts';

/** Characters after which only the shortest ways to the end are taken. */
const longWalk = 2000;

/** A source of random texts that a grammar derives. */
export class Walk {
  readonly #grammar: Grammar;
  readonly #shortest: ReadonlyMap<string, number>;
  readonly #random: Random;

  constructor(grammar: Grammar, random: Random) {
    this.#grammar = grammar;
    this.#random = random;
    this.#shortest = shortestTexts(grammar);
  }

  draw(): string {
    let drawn = '';
    const stack: GrammarNode[] = [{ type: 'rule', name: 'root' }];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const isLong = drawn.length > longWalk || stack.length > 200;
      if (node.type === 'text') drawn += node.text;
      if (node.type === 'characters') drawn += this.#character(node);
      if (node.type === 'rule') stack.push(this.#body(node.name));
      if (node.type === 'sequence') stack.push(...node.parts.toReversed());
      if (node.type === 'choice')
        stack.push(isLong ? this.#shortestOf(node.alternatives) : this.#pick(node.alternatives));
      if (node.type === 'repeat') {
        const times = isLong ? node.least : this.#times(node.least, node.most);
        for (let count = 0; count < times; count += 1) stack.push(node.of);
      }
    }
    return drawn;
  }

  /** Draws a number of repetitions: mostly a few more than needed, sometimes as many as are allowed. */
  #times(least: number, most: number): number {
    if (this.#random.uniform() < 0.1 && most <= 300) return most;
    let times = least;
    while (times < most && this.#random.uniform() < 0.5) times += 1;
    return times;
  }

  /** Draws a character from the ends of a range as often as from within it: that is where mistakes are. */
  #character({ ranges }: Extract<GrammarNode, { type: 'characters' }>): string {
    const [first, last] = this.#pick(ranges);
    const at = this.#random.uniform();
    if (at < 0.2) return String.fromCodePoint(first);
    if (at < 0.4) return String.fromCodePoint(last);
    return String.fromCodePoint(first + Math.floor(this.#random.uniform() * (last - first + 1)));
  }

  #pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.#random.uniform() * items.length)];
    if (item === undefined) throw new Error('a choice of nothing');
    return item;
  }

  #shortestOf(nodes: readonly GrammarNode[]): GrammarNode {
    const length = (node: GrammarNode): number => shortestText(node, this.#shortest);
    return nodes.reduce((best, node) => (length(node) < length(best) ? node : best));
  }

  #body(name: string): GrammarNode {
    const body = this.#grammar.get(name);
    if (body === undefined) throw new Error(`there is no rule ${name}`);
    return body;
  }
}

function shortestTexts(grammar: Grammar): ReadonlyMap<string, number> {
  const shortest = new Map<string, number>();
  for (let isChanged = true; isChanged;) {
    isChanged = false;
    for (const [name, node] of grammar) {
      const length = shortestText(node, shortest);
      if (length >= (shortest.get(name) ?? Infinity)) continue;
      shortest.set(name, length);
      isChanged = true;
    }
  }
  return shortest;
}

/**
 * Returns the length of the shortest text, with one more for each rule on the way, so that recursion is never the
 * shortest.
 */
function shortestText(node: GrammarNode, rules: ReadonlyMap<string, number>): number {
  switch (node.type) {
    case 'text':
      return node.text.length;
    case 'characters':
      return 1;
    case 'rule':
      return 1 + (rules.get(node.name) ?? Infinity);
    case 'sequence':
      return node.parts.reduce((sum, part) => sum + shortestText(part, rules), 0);
    case 'choice':
      return Math.min(...node.alternatives.map((alternative) => shortestText(alternative, rules)));
    case 'repeat':
      return node.least === 0 ? 0 : node.least * shortestText(node.of, rules);
    case 'never':
      return Infinity;
  }
}
