/** The distribution of a figure, in milliseconds. */
export interface Summary {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
  /** Number of measurements. */
  readonly n: number;
}

/** Summarizes values. Percentiles are measured values: the smallest that this share of all values does not exceed. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((left, right) => left - right);
  const percentile = (share: number): number => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    if (value === undefined) throw new RangeError('the distribution of nothing');
    return Math.round(value);
  };
  return { p50: percentile(0.5), p95: percentile(0.95), max: percentile(1), n: sorted.length };
}
