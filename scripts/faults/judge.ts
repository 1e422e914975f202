/** The relation of a list of tokens to the expected one. */
export type Verdict =
  | { readonly kind: 'same' }
  /** A beginning of the expected list. */
  | { readonly kind: 'beginning' }
  /** From place `at` on another list: earlier tokens come again, later ones come too soon, or neither. */
  | { readonly kind: 'duplicated' | 'missing' | 'other'; readonly at: number; readonly tokens: number };

/** Tokens of a piece by which a place is recognized: fewer would be found by chance. */
const pieceTokens = 8;

/** Compares the tokens of an answer with the expected ones. */
export function judge(tokens: readonly number[], expected: readonly number[]): Verdict {
  const at = tokens.findIndex((token, index) => token !== expected[index]);
  if (at === -1) return { kind: tokens.length === expected.length ? 'same' : 'beginning' };
  const piece = tokens.slice(at, at + pieceTokens);
  const found = piece.length < pieceTokens ? -1 : placeOf(piece, expected);
  if (found === -1) return { kind: 'other', at, tokens: tokens.length - at };
  return { kind: found < at ? 'duplicated' : 'missing', at, tokens: Math.abs(found - at) };
}

function placeOf(piece: readonly number[], list: readonly number[]): number {
  return list.findIndex((_, start) => piece.every((token, index) => list[start + index] === token));
}
