import type { NumberFacts } from '../facts.ts';

/** An end of an interval. */
export interface Bound {
  readonly value: number;
  readonly isExclusive: boolean;
}

/** An interval of allowed numbers. An undefined end is open. */
export interface Interval {
  readonly lower: Bound | undefined;
  readonly upper: Bound | undefined;
}

/** Returns the interval of numbers that all of these facts allow. */
export function intervalOf(numbers: readonly NumberFacts[]): Interval {
  let [lower, upper]: [Bound | undefined, Bound | undefined] = [undefined, undefined];
  for (const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } of numbers) {
    lower = tighter(lower, minimum, false, 1);
    lower = tighter(lower, exclusiveMinimum, true, 1);
    upper = tighter(upper, maximum, false, -1);
    upper = tighter(upper, exclusiveMaximum, true, -1);
  }
  return { lower, upper };
}

/** Tells whether no number lies in an interval. */
export function isEmptyInterval({ lower, upper }: Interval): boolean {
  if (lower === undefined || upper === undefined) return false;
  return lower.value > upper.value || (lower.value === upper.value && (lower.isExclusive || upper.isExclusive));
}

/** Tells whether a number lies in an interval. */
export function isInside(value: number, { lower, upper }: Interval): boolean {
  const isAbove = lower === undefined || value > lower.value || (value === lower.value && !lower.isExclusive);
  return isAbove && (upper === undefined || value < upper.value || (value === upper.value && !upper.isExclusive));
}

function tighter(
  bound: Bound | undefined,
  value: number | undefined,
  isExclusive: boolean,
  direction: 1 | -1,
): Bound | undefined {
  if (value === undefined) return bound;
  const difference = bound === undefined ? 1 : (value - bound.value) * direction;
  return difference > 0 || (difference === 0 && isExclusive) ? { value, isExclusive } : bound;
}

/** Returns the greatest of some counts; undefined where there is none. */
export function greatest(counts: readonly (number | undefined)[]): number | undefined {
  return counts.reduce(
    (best, count) => (count === undefined || (best !== undefined && best >= count) ? best : count),
    undefined,
  );
}

/** Returns the least of some counts; undefined where there is none. */
export function least(counts: readonly (number | undefined)[]): number | undefined {
  return counts.reduce(
    (best, count) => (count === undefined || (best !== undefined && best <= count) ? best : count),
    undefined,
  );
}
