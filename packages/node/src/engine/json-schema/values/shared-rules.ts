import {
  characters,
  choice,
  nothing,
  optional,
  repeat,
  rule,
  sequence,
  text,
  type CharacterRange,
  type GrammarNode,
} from '../grammar/node.ts';

/** Code points that JSON takes in a string as they are. Surrogates are left out: UTF-8 has no place for them. */
export const plainRanges: readonly CharacterRange[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0xd7ff],
  [0xe000, 0x10_ffff],
];

const quote = text('"');
const digit = characters([0x30, 0x39]);
const hexDigit = characters([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);

/** Most further digits before the point, and digits of exponents, that no double overflows with. */
const moreDigits = 15;
const fractionDigits = 16;
const exponentDigits = 2;

const wholeNumber = choice(text('0'), sequence(characters([0x31, 0x39]), repeat(digit, 0, moreDigits)));
const fraction = sequence(text('.'), repeat(digit, 1, fractionDigits));
const exponent = sequence(
  characters([0x45, 0x45], [0x65, 0x65]),
  optional(characters([0x2b, 0x2b], [0x2d, 0x2d])),
  repeat(digit, 1, exponentDigits),
);

/**
 * Rules for JSON itself. White space is bounded, since a model that may go on with spaces for ever sometimes does:
 * none, one space, or a new line with the indent of the next one.
 */
const sharedRules = {
  space: choice(nothing, text(' '), sequence(text('\n'), repeat(characters([0x20, 0x20], [0x09, 0x09]), 0, 20))),
  value: choice(
    rule('object'),
    rule('array'),
    rule('string'),
    rule('number'),
    text('true'),
    text('false'),
    text('null'),
  ),
  object: members(sequence(rule('string'), text(':'), rule('space'), rule('value'))),
  array: listOf(rule('value'), 0, Infinity),
  string: sequence(quote, repeat(rule('character'), 0, Infinity), quote),
  character: choice(
    characters(...plainRanges),
    sequence(
      text('\\'),
      choice(
        characters(...Array.from('"\\/bfnrt', (each): CharacterRange => [code(each), code(each)])),
        sequence(text('u'), unitOutsideSurrogates()),
      ),
    ),
  ),
  number: sequence(optional(text('-')), wholeNumber, optional(fraction), optional(exponent)),
  integer: sequence(optional(text('-')), wholeNumber),
  unsigned: sequence(wholeNumber, optional(fraction), optional(exponent)),
} as const satisfies Readonly<Record<string, GrammarNode>>;

export type SharedRule = keyof typeof sharedRules;

/** Returns a rule for JSON itself by its name. */
export function sharedRule(name: SharedRule): GrammarNode {
  return sharedRules[name];
}

/** Tells whether a name is that of a rule for JSON itself. */
export function isSharedRule(name: string): name is SharedRule {
  return Object.hasOwn(sharedRules, name);
}

/** Makes a node for a JSON array of `fewest` to `most` items. */
export function listOf(item: GrammarNode, fewest: number, most: number): GrammarNode {
  const space = rule('space');
  if (most === 0) return sequence(text('['), space, text(']'));
  const next = repeat(sequence(text(','), space, item), Math.max(0, fewest - 1), most - 1);
  const items = sequence(item, next, space);
  return sequence(text('['), space, fewest === 0 ? optional(items) : items, text(']'));
}

/** Makes a node for a JSON object of any number of members. */
function members(member: GrammarNode): GrammarNode {
  const space = rule('space');
  const items = sequence(member, repeat(sequence(text(','), space, member), 0, Infinity), space);
  return sequence(text('{'), space, optional(items), text('}'));
}

/** Makes a node for four hexadecimal digits outside of surrogates, half a pair of which a string may not have. */
function unitOutsideSurrogates(): GrammarNode {
  const notD = characters([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]);
  const ofD = sequence(characters([0x44, 0x44], [0x64, 0x64]), characters([0x30, 0x37]), repeat(hexDigit, 2, 2));
  return choice(sequence(notD, repeat(hexDigit, 3, 3)), ofD);
}

function code(character: string): number {
  return character.charCodeAt(0);
}
