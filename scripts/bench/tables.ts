import type { Row } from './bench-case.ts';
import { shortNumber } from './numbers.ts';

/** Lists rows as cells, with the columns that any of them has, in order of appearance. */
export function tableOf(rows: readonly Row[]): { readonly columns: readonly string[]; readonly cells: string[][] } {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return { columns, cells: rows.map((row) => columns.map((column) => cellOf(row[column]))) };
}

/** Formats a table of Markdown. */
export function markdownTable(columns: readonly string[], cells: readonly (readonly string[])[]): string {
  const line = (values: readonly string[]) => `| ${values.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...cells.map(line)].join('\n');
}

function cellOf(value: Row[string] | undefined): string {
  return typeof value === 'number' ? shortNumber(value) : String(value ?? '');
}
