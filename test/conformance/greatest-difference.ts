/** Returns the greatest absolute difference between two runs' logits; NaN when one of them is NaN anywhere. */
export function greatestDifference(left: readonly Float32Array[], right: readonly Float32Array[]): number {
  let greatest = 0;
  for (const [row, logits] of left.entries()) {
    for (const [token, value] of logits.entries()) {
      const difference = Math.abs(value - (right[row]?.[token] ?? Number.NaN));
      if (!(difference <= greatest)) greatest = difference;
    }
  }
  return greatest;
}
