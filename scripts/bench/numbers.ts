/** Formats a figure with three significant digits, or all before the point where there are more. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.001))));
  return value.toFixed(Number.isInteger(value) ? 0 : digits);
}

/** Formats a number of streams: `1 stream`, `4 streams`. */
export function streamsText(count: number): string {
  return count === 1 ? '1 stream' : `${count} streams`;
}
