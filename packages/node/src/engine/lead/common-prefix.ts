/**
 * Most tokens that are computed anew rather than shared, waited for or swapped out: that is as fast. Tokens in main memory are copied, however few are wanted.
 */
export const negligibleTokens = 15;

/** Returns how many tokens two sequences have in common at their beginning, at most `most`. */
export function commonPrefix(first: readonly number[], second: readonly number[], most: number): number {
  const end = Math.min(first.length, second.length, most);
  let length = 0;
  while (length < end && first[length] === second[length]) length += 1;
  return length;
}
