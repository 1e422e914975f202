/** Element i is the sum of the first i values. */
export function prefixSums(values: readonly number[]): readonly number[] {
  const sums = [0];
  let sum = 0;
  for (const value of values) sums.push((sum += value));
  return sums;
}
