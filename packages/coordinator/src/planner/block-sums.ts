import { invariant, type Block } from '@skein/protocol';

/** Returns a function for the sum of the values of a block, which may be empty. */
export function blockSums(values: readonly number[]): (block: Block) => number {
  const sums = [0];
  let sum = 0;
  for (const value of values) sums.push((sum += value));
  const upTo = (index: number): number => invariant(sums[index], 'a block lies among the values');
  return ({ from, to }) => upTo(to) - upTo(from);
}
