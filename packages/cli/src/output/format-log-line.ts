import { printable } from './format.ts';

const levels: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };

/** The fields of every line: time in ISO 8601, level as one of pino's numbers, and message; the others are its details. */
interface Line extends Record<string, unknown> {
  readonly time: string;
  readonly level: number;
  readonly msg: string;
}

/** Formats one of pino's lines for people: `12:34:56 warn: what happened (field: value, ...)`, in local time. */
export function formatLogLine(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Line;
  const clock = new Date(time).toTimeString().slice(0, 8);
  const details = Object.entries(fields).map(([name, value]) => `${name}: ${format(value)}`);
  const inBrackets = details.length === 0 ? '' : ` (${details.join(', ')})`;
  return printable(`${clock} ${levels[level] ?? 'info'}: ${msg}${inBrackets}`);
}

function format(value: unknown): string {
  return typeof value === 'string' ? value.replaceAll(/\s*\n\s*/g, ' ') : JSON.stringify(value);
}
