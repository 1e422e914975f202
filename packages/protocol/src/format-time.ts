const units = [
  ['second', 1000],
  ['minute', 60_000],
  ['hour', 3_600_000],
  ['day', 86_400_000],
] as const;

/**
 * Formats a span of milliseconds for people, in its largest unit: `40 seconds`, `2.5 hours`, `93 days`. Ignores its
 * sign.
 */
export function formatDuration(durationMs: number): string {
  const length = Math.abs(durationMs);
  const [name, unitMs] = units.findLast(([, ms]) => length >= ms) ?? units[0];
  const count = length / unitMs;
  const text = String(count < 10 ? Math.round(count * 10) / 10 : Math.round(count));
  return `${text} ${name}${text === '1' ? '' : 's'}`;
}

/**
 * Formats a moment, in milliseconds since 1970, as `2026-11-26 14:30 UTC`; one beyond the calendar as the bare number.
 */
export function formatMoment(timeMs: number): string {
  const date = new Date(timeMs);
  if (Number.isNaN(date.getTime())) return String(timeMs);
  return `${date
    .toISOString()
    .replace('T', ' ')
    .replace(/:\d\d\.\d+Z$/, '')} UTC`;
}
