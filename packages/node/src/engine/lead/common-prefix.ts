/**
 * Tokens that are computed anew rather than shared, waited for or swapped out: that is as fast, and what is shared can't be
 * moved. What is in main memory is copied, however few tokens of it are wanted.
 */
export const negligibleTokens = 15;

/** How many tokens two sequences begin with alike, at most `most`. */
export function commonPrefix(first: readonly number[], second: readonly number[], most: number): number {
  const end = Math.min(first.length, second.length, most);
  let length = 0;
  while (length < end && first[length] === second[length]) length += 1;
  return length;
}
