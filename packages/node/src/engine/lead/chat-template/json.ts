import { BoundedText, type Budget } from './budget.ts';
import { Float, isMap, itemsOf, typeName, describeFloat, compare, type Value } from './values.ts';

export interface JsonOptions {
  /** Spaces per level, or the text to indent with; undefined writes everything on one line. */
  readonly indent?: string | undefined;
  readonly ensureAscii?: boolean;
  readonly sortKeys?: boolean;
  /** Between elements, and behind keys. */
  readonly separators?: readonly [item: string, key: string] | undefined;
}

/**
 * Python's `json.dumps`, which writes spaces where JavaScript writes none.
 * @throws TypeError for what JSON has no form for
 */
export function toJson(value: Value, options: JsonOptions, budget: Budget): string {
  const text = new BoundedText(budget);
  write(value, { ...options, budget, text }, '\n');
  return text.value;
}

interface Writing extends JsonOptions {
  readonly budget: Budget;
  readonly text: BoundedText;
}

function write(value: Value, writing: Writing, line: string): void {
  const { text, indent } = writing;
  const [itemSeparator, keySeparator] = writing.separators ?? [indent === undefined ? ', ' : ',', ': '];
  const inner = indent === undefined ? '' : line + indent;
  const outer = indent === undefined ? '' : line;
  const items = itemsOf(value);
  if (items !== undefined) {
    text.append('[');
    for (const [index, item] of items.entries()) {
      text.append((index === 0 ? '' : itemSeparator) + inner);
      write(item, writing, inner);
    }
    text.append(items.length === 0 ? ']' : `${outer}]`);
  } else if (isMap(value)) {
    text.append('{');
    let separator = '';
    for (const [key, item] of entriesOf(value, writing)) {
      text.append(`${separator}${inner}${writeText(keyText(key), writing)}${keySeparator}`);
      write(item, writing, inner);
      separator = itemSeparator;
    }
    text.append(value.size === 0 ? '}' : `${outer}}`);
  } else {
    text.append(scalarText(value, writing));
  }
}

function entriesOf(
  value: ReadonlyMap<Value, Value>,
  { sortKeys, budget }: Writing,
): readonly (readonly [Value, Value])[] {
  const entries = [...value];
  return sortKeys === true ? entries.sort(([left], [right]) => compare(left, right, budget)) : entries;
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  return scalarText(key, {});
}

function scalarText(value: Value, options: JsonOptions): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return writeText(value, options);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value instanceof Float) return describeFloat(value.value);
  throw new TypeError(`${typeName(value)} has no form in JSON`);
}

function writeText(text: string, { ensureAscii }: JsonOptions): string {
  const json = JSON.stringify(text);
  if (ensureAscii !== true) return json;
  return json.replaceAll(/[^\0-\u007e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
