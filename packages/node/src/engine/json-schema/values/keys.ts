import { invariant } from '@skein/protocol';

import {
  characters,
  choice,
  repeat,
  rule,
  sequence,
  text,
  type CharacterRange,
  type GrammarNode,
} from '../grammar/node.ts';
import { tooLarge } from '../refusal.ts';
import { plainRanges } from './shared-rules.ts';

/** Characters of the longest name that can be excluded, followed by those of all names. */
const longestName = 256;
const mostCharacters = 16_384;
/** Characters of names along which nodes are nested before a rule begins. */
const nestedCharacters = 8;

interface Trie {
  readonly children: Map<string, Trie>;
  isName: boolean;
}

/**
 * Makes a node for the keys that are none of these names, quotes included. They have no escapes: an escape would be
 * another spelling of a name. Names that can't be written without escapes need not be excluded.
 *
 * @param define adds a rule to the grammar and returns a reference to it
 * @throws SkeinError `invalid-request` for names that are too long or too many
 */
export function keysExcept(names: readonly string[], define: (node: GrammarNode) => GrammarNode): GrammarNode {
  const isTooLong = names.some((name) => name.length > longestName);
  if (isTooLong || names.reduce((sum, name) => sum + name.length, 0) > mostCharacters) throw tooLarge();
  const root: Trie = { children: new Map(), isName: false };
  for (const name of names) {
    if (!/^[^"\\\p{Cc}\p{Cs}]*$/u.test(name)) continue;
    let at = root;
    for (const character of name) {
      const next: Trie = at.children.get(character) ?? { children: new Map(), isName: false };
      at.children.set(character, next);
      at = next;
    }
    at.isName = true;
  }
  return sequence(text('"'), restOf(root, 1, define));
}

/**
 * Makes a node for the rest behind a prefix: the end, unless the prefix is a name; a character that leads to no name;
 * one that does.
 */
function restOf(trie: Trie, depth: number, define: (node: GrammarNode) => GrammarNode): GrammarNode {
  const plain = characters(...plainRanges);
  const children = [...trie.children.keys()].map((character) =>
    invariant(character.codePointAt(0), 'a character is no empty text'),
  );
  const end = text('"');
  const others = sequence(characters(...without(plainRanges, children)), repeat(plain, 0, Infinity), end);
  const alternatives: GrammarNode[] = [others];
  if (!trie.isName) alternatives.push(end);
  for (const [character, child] of trie.children) {
    const isCut = depth % nestedCharacters === 0 && child.children.size > 0;
    const rest = restOf(child, depth + 1, define);
    alternatives.push(sequence(text(character), isCut ? define(rest) : rest));
  }
  const [first = others, ...more] = alternatives;
  return choice(first, ...more);
}

function without(ranges: readonly CharacterRange[], excluded: readonly number[]): CharacterRange[] {
  let left = [...ranges];
  for (const code of excluded) {
    left = left.flatMap(([first, last]): CharacterRange[] => {
      if (code < first || code > last) return [[first, last]];
      const parts: CharacterRange[] = [];
      if (first < code) parts.push([first, code - 1]);
      if (code < last) parts.push([code + 1, last]);
      return parts;
    });
  }
  return left;
}

/** The node for any key. */
export const anyKey: GrammarNode = rule('string');
