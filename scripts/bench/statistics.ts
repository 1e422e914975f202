/** Returns the median; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new RangeError('the median of nothing');
  return (low + high) / 2;
}

/** The spread of a figure over the rounds. A quotient, unless its name says otherwise. */
export interface Ratio {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Number of pairs that were compared. */
  readonly pairs: number;
}

/** Divides one series by another, pair by pair, as they were measured one after the other. */
export function ratioOf(values: readonly number[], baseline: readonly number[]): Ratio {
  return spreadOf(pairwise(values, baseline, (value, base) => value / base));
}

/** Subtracts the second series from the first, pair by pair. */
export function differenceOf(values: readonly number[], baseline: readonly number[]): Ratio {
  return spreadOf(pairwise(values, baseline, (value, base) => value - base));
}

/** Returns the spread of a series that is compared with nothing. */
export function spreadOf(values: readonly number[]): Ratio {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), pairs: values.length };
}

function pairwise(
  values: readonly number[],
  baseline: readonly number[],
  compare: (value: number, base: number) => number,
): number[] {
  if (values.length !== baseline.length) throw new RangeError('series of different lengths have no pairs');
  return values.map((value, index) => compare(value, baseline[index] ?? Number.NaN));
}
