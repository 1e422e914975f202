import type { Entry } from '@skein/coordinator';

/** Fields that have a column, of all types of entries. */
const columns = [
  'seq',
  'time',
  'type',
  'action',
  'outcome',
  'reason',
  'error',
  'client',
  'address',
  'endpoint',
  'model',
  'sha256',
  'deployment',
  'peers',
  'readAlong',
  'stages',
  'choices',
  'promptSize',
  'promptTokens',
  'completionTokens',
  'finishReasons',
  'durationMs',
  'peer',
  'role',
  'name',
  'by',
  'count',
  'unsealed',
  'tornBytes',
  'url',
  'id',
  'hash',
] as const;

export const csvHeader = `${columns.join(',')}\r`;

/** Formats an entry as a row of RFC 4180, without its line feed. Items of a list are separated by spaces. */
export function csvRow(entry: Entry): string {
  return `${columns.map((column) => quoted(textOf(entry[column]))).join(',')}\r`;
}

function textOf(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return inert(value);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return inert(value.join(' '));
  return JSON.stringify(value);
}

/** Returns a text with which a spreadsheet starts no formula, whatever name was given. */
function inert(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
