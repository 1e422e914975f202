/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new RangeError('the median of nothing');
  return (low + high) / 2;
}

/** How a figure varies over the rounds. A quotient where its name says nothing else. */
export interface Ratio {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many pairs were compared. */
  readonly pairs: number;
}

/** Compares two series pair by pair, as they were measured one after the other. */
export function ratioOf(values: readonly number[], baseline: readonly number[]): Ratio {
  return spreadOf(pairwise(values, baseline, (value, base) => value / base));
}

/** What the first series has more than the second, pair by pair. */
export function differenceOf(values: readonly number[], baseline: readonly number[]): Ratio {
  return spreadOf(pairwise(values, baseline, (value, base) => value - base));
}

/** A series that is compared with nothing. */
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
