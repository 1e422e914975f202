/** Formats a block of layers as people count: `layers 0–14`, the last one included. */
export function formatLayers(block: { readonly from: number; readonly to: number }): string {
  return block.to - block.from === 1 ? `layer ${block.from}` : `layers ${block.from}–${block.to - 1}`;
}

/** Formats labels: `room=attic floor=3`. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map((pair) => pair.join('='))
    .join(' ');
}

/** Control characters, line separators, half characters, and marks that turn the direction of text. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/**
 * Removes characters from another member's text that could rewrite the terminal, or make it show something else. The
 * result is one line.
 */
export function printable(text: string): string {
  return text.replaceAll(unprintable, '');
}

/** Removes such characters from a text of several lines: line feeds and tabs stay. */
export function printableLines(text: string): string {
  return text.replaceAll(unprintable, (mark) => (mark === '\n' || mark === '\t' ? mark : ''));
}

/** Formats a number with its noun: `1 entry`, `2 entries`. */
export function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Quotes a text as one word for a shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Formats rows with columns padded to the widest cell, two spaces between them. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = new Map<number, number>();
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths.set(column, Math.max(widths.get(column) ?? 0, cell.length));
  }
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths.get(column) ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
