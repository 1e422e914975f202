import { invariant } from '@skein/protocol';

import type { Budget } from './budget.ts';
import { Text } from './text.ts';
import { charactersOf } from './values.ts';

/** A stretch of a text, in UTF-16 units. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * White space as Python's `str.strip` sees it. JavaScript's `trim` takes a byte order mark, too, and leaves the
 * separators.
 */
const blank = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]`;
const isBlank = new RegExp(`^${blank}$`, 'u');
const words = new RegExp(`[^${blank.slice(1)}+`, 'gu');

/** Removes characters from the ends: white space, or those of `characters`. */
export function strip(text: Text, ends: { left: boolean; right: boolean }, characters?: string): Text {
  const { value } = text;
  const set = characters === undefined ? undefined : new Set(characters);
  const goes = (character: string): boolean => (set === undefined ? isBlank.test(character) : set.has(character));
  let [from, to] = [0, value.length];
  while (ends.left && from < to) {
    const character = String.fromCodePoint(invariant(value.codePointAt(from), 'a text has a character before its end'));
    if (!goes(character)) break;
    from += character.length;
  }
  while (ends.right && from < to) {
    // A low surrogate belongs to the character that starts before it.
    const width = to - from > 1 && /[\udc00-\udfff]/.test(value.charAt(to - 1)) ? 2 : 1;
    if (!goes(value.slice(to - width, to))) break;
    to -= width;
  }
  return text.slice(from, to);
}

/** Splits a text as Python's `str.split` and `str.rsplit` do; at white space without a separator. */
export function split(
  text: Text,
  options: { separator: string | undefined; limit: number; fromRight: boolean },
  budget: Budget,
): Text[] {
  const { separator, limit, fromRight } = options;
  if (separator === '') throw new TypeError('empty separator');
  budget.search(text.length, separator?.length ?? 0);
  const all = separator === undefined ? spansOf(text.value, words) : spansBetween(text.value, separator);
  const take = (spans: readonly Span[]): Text[] => spans.map(({ start, end }) => text.slice(start, end));
  if (limit < 0 || all.length <= limit + 1) return take(all);
  // The rest keeps its separators.
  const kept = all.length - limit;
  return fromRight
    ? [text.slice(0, spanAt(all, kept - 1).end), ...take(all.slice(kept))]
    : [...take(all.slice(0, limit)), text.slice(spanAt(all, limit).start)];
}

/** Splits a text at line feeds, as Python's `str.splitlines` does. */
export function splitLines(text: Text): Text[] {
  return spansBetween(text.value.replace(/\r?\n$/, ''), '\n').map(({ start, end }, index, { length }) => {
    const isEnded = index < length - 1;
    return text.slice(start, isEnded && text.value.charAt(end - 1) === '\r' ? end - 1 : end);
  });
}

/** Replaces the first `count` occurrences, or all. Counts the size of the result before making it. */
export function replace(
  text: Text,
  { from, to, count }: { from: string; to: Text; count: number },
  budget: Budget,
): Text {
  budget.search(text.length, from.length);
  const pieces = from === '' ? aroundCharacters(text, budget) : spansBetween(text.value, from);
  const replaced = count < 0 ? pieces.length - 1 : Math.min(count, pieces.length - 1);
  budget.list(pieces.length);
  budget.newText(text.length + replaced * Math.max(0, to.length - from.length));
  const parts = pieces.slice(0, replaced + 1).map(({ start, end }) => text.slice(start, end));
  return Text.join(parts, to).plus(text.slice(spanAt(pieces, replaced).end));
}

/** Indents lines, by default neither the first nor empty ones. */
export function indent(
  text: Text,
  { width, first, blank }: { width: Text; first: boolean; blank: boolean },
  budget: Budget,
): Text {
  const lines = spansBetween(text.value, '\n');
  budget.newText(text.length + lines.length * width.length);
  const parts = lines.map(({ start, end }, index) => {
    const line = text.slice(start, end + 1);
    return (index > 0 || first) && (start < end || blank) ? width.plus(line) : line;
  });
  return Text.join(parts);
}

/** Returns a text with its first character in upper case and the others in lower case. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Returns a text with each of its words capitalized. */
export function title(text: string): string {
  return text.replaceAll(/\p{L}+/gu, capitalize);
}

/** Repeats a text `times` times. Counts the size of the result before making it. */
export function repeat(text: Text, times: number, budget: Budget): Text {
  budget.newText(text.length * Math.max(0, times));
  return text.repeat(Math.max(0, times));
}

function spanAt(spans: readonly Span[], index: number): Span {
  return invariant(spans[index], 'there are more parts than the limit');
}

/** Returns the matches of a pattern. */
function spansOf(text: string, pattern: RegExp): Span[] {
  return Array.from(text.matchAll(pattern), ({ 0: match, index }) => ({ start: index, end: index + match.length }));
}

/** Returns the parts before, between and behind the occurrences of a separator. */
function spansBetween(text: string, separator: string): Span[] {
  let start = 0;
  return text.split(separator).map(({ length }) => {
    const span = { start, end: start + length };
    start = span.end + separator.length;
    return span;
  });
}

/** Returns a text's characters as spans, with an empty one before and behind. */
function aroundCharacters(text: Text, budget: Budget): Span[] {
  const spans: Span[] = [{ start: 0, end: 0 }];
  for (const { length } of charactersOf(text, budget)) {
    const { end: start } = spanAt(spans, spans.length - 1);
    spans.push({ start, end: start + length });
  }
  return [...spans, { start: text.length, end: text.length }];
}
