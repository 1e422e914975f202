import type { SkeinError } from '@skein/protocol';

/** A part of a grammar over Unicode code points. */
export type GrammarNode =
  | { readonly type: 'text'; readonly text: string }
  /** One code point of these ranges, ends included. */
  | { readonly type: 'characters'; readonly ranges: readonly CharacterRange[] }
  | { readonly type: 'sequence'; readonly parts: readonly GrammarNode[] }
  | { readonly type: 'choice'; readonly alternatives: readonly GrammarNode[] }
  | { readonly type: 'repeat'; readonly of: GrammarNode; readonly least: number; readonly most: number }
  | { readonly type: 'rule'; readonly name: string }
  /** Derives nothing; `because` names the keyword of the schema at fault. */
  | { readonly type: 'never'; readonly because: SkeinError };

export type CharacterRange = readonly [first: number, last: number];

/** Rules by name. A text follows the grammar when `root` derives it. */
export type Grammar = ReadonlyMap<string, GrammarNode>;

/**
 * Most repetitions that are written plainly. Longer ones are made of blocks, so that a grammar's size grows with the
 * root of their number.
 */
const longestPlainRepetition = 256;

/** Makes a node for one text. */
export function text(value: string): GrammarNode {
  return { type: 'text', text: value };
}

/** Makes a node for one code point of these ranges. */
export function characters(...ranges: CharacterRange[]): GrammarNode {
  return { type: 'characters', ranges };
}

/** Makes a reference to a rule. */
export function rule(name: string): GrammarNode {
  return { type: 'rule', name };
}

export const nothing: GrammarNode = { type: 'sequence', parts: [] };

/** Makes a node for parts one after another. Joins adjacent texts and flattens sequences in it. */
export function sequence(...parts: readonly GrammarNode[]): GrammarNode {
  const flat = parts.flatMap((part) => (part.type === 'sequence' ? part.parts : [part]));
  const joined: GrammarNode[] = [];
  for (const part of flat) {
    const last = joined.at(-1);
    if (part.type === 'text' && last?.type === 'text') joined[joined.length - 1] = text(last.text + part.text);
    else joined.push(part);
  }
  const [first, ...more] = joined;
  return first !== undefined && more.length === 0 ? first : { type: 'sequence', parts: joined };
}

/** Makes a node for one of the alternatives. */
export function choice(...alternatives: readonly [GrammarNode, ...GrammarNode[]]): GrammarNode {
  return alternatives.length === 1 ? alternatives[0] : { type: 'choice', alternatives };
}

/** Makes a node for a part that may be missing. */
export function optional(of: GrammarNode): GrammarNode {
  return repeat(of, 0, 1);
}

/** Makes a node for a part `least` to `most` times; `most` may be infinite. */
export function repeat(of: GrammarNode, least: number, most: number): GrammarNode {
  if (most === 0) return nothing;
  if (least === 1 && most === 1) return of;
  if (least <= longestPlainRepetition && (most === Infinity || most <= longestPlainRepetition)) {
    return { type: 'repeat', of, least, most };
  }
  const rest = most === Infinity ? repeat(of, 0, Infinity) : atMost(of, most - least);
  return least === 0 ? rest : sequence(exactly(of, least), rest);
}

function exactly(of: GrammarNode, count: number): GrammarNode {
  if (count <= longestPlainRepetition) return repeat(of, count, count);
  const { block, blocks, over } = blocksOf(of, count);
  return sequence({ type: 'repeat', of: block, least: blocks, most: blocks }, repeat(of, over, over));
}

/**
 * Makes a node for a part at most `count` times. Blocks of b, at most q - 1 of them, and at most b + r more derive each
 * number up to qb + r.
 */
function atMost(of: GrammarNode, count: number): GrammarNode {
  if (count <= longestPlainRepetition) return repeat(of, 0, count);
  const { block, blocks, length, over } = blocksOf(of, count);
  return sequence(
    { type: 'repeat', of: block, least: 0, most: blocks - 1 },
    { type: 'repeat', of, least: 0, most: length + over },
  );
}

function blocksOf(of: GrammarNode, count: number) {
  const length = Math.ceil(Math.sqrt(count));
  const block: GrammarNode = { type: 'repeat', of, least: length, most: length };
  return { block, length, blocks: Math.floor(count / length), over: count % length };
}
