import { invariant } from '@skein/protocol';

import type { Budget } from './budget.ts';
import { charactersOf } from './values.ts';

/** White space as Python's `str.strip` sees it. JavaScript's `trim` takes a byte order mark, too, and leaves the separators. */
const blank = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]`;
const blankRun = new RegExp(`${blank}+`, 'u');
const isBlank = new RegExp(`^${blank}$`, 'u');

/** Removes characters from the ends: white space, or those of `characters`. */
export function strip(text: string, ends: { left: boolean; right: boolean }, characters?: string): string {
  const set = characters === undefined ? undefined : new Set(characters);
  const goes = (character: string): boolean => (set === undefined ? isBlank.test(character) : set.has(character));
  let [from, to] = [0, text.length];
  while (ends.left && from < to) {
    const character = String.fromCodePoint(invariant(text.codePointAt(from), 'a text has a character before its end'));
    if (!goes(character)) break;
    from += character.length;
  }
  while (ends.right && from < to) {
    // A low surrogate belongs to the character that starts before it.
    const width = to - from > 1 && /[\udc00-\udfff]/.test(text.charAt(to - 1)) ? 2 : 1;
    if (!goes(text.slice(to - width, to))) break;
    to -= width;
  }
  return text.slice(from, to);
}

/** Python's `str.split`, from the left or from the right; without a separator at white space. */
export function split(
  text: string,
  options: { separator: string | undefined; limit: number; fromRight: boolean },
  budget: Budget,
): string[] {
  const { separator, limit, fromRight } = options;
  if (separator === '') throw new TypeError('empty separator');
  budget.search(text.length, separator?.length ?? 0);
  const all =
    separator === undefined
      ? strip(text, { left: true, right: true })
          .split(blankRun)
          .filter((part) => part !== '')
      : text.split(separator);
  if (limit < 0 || all.length <= limit + 1) return all;
  if (separator !== undefined) {
    return fromRight
      ? [all.slice(0, all.length - limit).join(separator), ...all.slice(all.length - limit)]
      : [...all.slice(0, limit), all.slice(limit).join(separator)];
  }
  // The rest keeps its white space inside.
  let rest = strip(text, { left: !fromRight, right: fromRight });
  const parts: string[] = [];
  for (let count = 0; count < limit; count += 1) {
    const part = invariant(all.at(fromRight ? -1 - count : count), 'there are more parts than the limit');
    parts.push(part);
    rest = fromRight
      ? strip(rest.slice(0, rest.length - part.length), { left: false, right: true })
      : strip(rest.slice(part.length), { left: true, right: false });
  }
  return fromRight ? [rest, ...parts.reverse()] : [...parts, rest];
}

/** Replaces the first `count` places, or all. The size of the result is counted before it is made. */
export function replace(
  text: string,
  { from, to, count }: { from: string; to: string; count: number },
  budget: Budget,
): string {
  budget.search(text.length, from.length);
  const pieces = from === '' ? ['', ...charactersOf(text, budget), ''] : text.split(from);
  const replaced = count < 0 ? pieces.length - 1 : Math.min(count, pieces.length - 1);
  budget.list(pieces.length);
  budget.newText(text.length + replaced * Math.max(0, to.length - from.length));
  return (
    pieces.slice(0, replaced + 1).join(to) +
    pieces
      .slice(replaced + 1)
      .map((piece) => from + piece)
      .join('')
  );
}

/** Indents lines, by default neither the first nor empty ones. */
export function indent(
  text: string,
  { width, first, blank }: { width: string; first: boolean; blank: boolean },
  budget: Budget,
): string {
  const lines = text.split('\n');
  budget.newText(text.length + lines.length * width.length);
  return lines.map((line, index) => ((index > 0 || first) && (line !== '' || blank) ? width + line : line)).join('\n');
}

export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

export function title(text: string): string {
  return text.replaceAll(/\p{L}+/gu, capitalize);
}

/** The text that many times. Its size is counted before it is made. */
export function repeat(text: string, times: number, budget: Budget): string {
  budget.newText(text.length * Math.max(0, times));
  return text.repeat(Math.max(0, times));
}
