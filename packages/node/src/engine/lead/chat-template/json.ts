import { BoundedText, type Budget } from './budget.ts';
import { Text, written } from './text.ts';
import { compare, describeFloat, Dictionary, Float, itemsOf, typeName, type Value } from './values.ts';

export interface JsonOptions {
  /** Text to indent a level with; undefined writes everything on one line. */
  readonly indent?: Text | undefined;
  readonly ensureAscii?: boolean;
  readonly sortKeys?: boolean;
  /** Texts between elements, and behind keys. */
  readonly separators?: readonly [item: Text, key: Text] | undefined;
}

/**
 * Writes a value as Python's `json.dumps` does, with spaces where JavaScript writes none.
 *
 * @throws TypeError for values that JSON has no form for
 */
export function toJson(value: Value, options: JsonOptions, budget: Budget): Text {
  const text = new BoundedText(budget);
  write(value, { ...options, budget, text }, written('\n'));
  return text.value;
}

interface Writing extends JsonOptions {
  readonly budget: Budget;
  readonly text: BoundedText;
}

function write(value: Value, writing: Writing, line: Text): void {
  const { text, indent, separators } = writing;
  const [itemSeparator, keySeparator] = separators ?? [written(indent === undefined ? ', ' : ','), written(': ')];
  const inner = indent === undefined ? nothing : line.plus(indent);
  const outer = indent === undefined ? nothing : line;
  const items = itemsOf(value);
  if (items !== undefined) {
    text.append(written('['));
    for (const [index, item] of items.entries()) {
      text.append(index === 0 ? inner : itemSeparator.plus(inner));
      write(item, writing, inner);
    }
    if (items.length > 0) text.append(outer);
    text.append(written(']'));
  } else if (value instanceof Dictionary) {
    text.append(written('{'));
    let separator = nothing;
    for (const [key, item] of entriesOf(value, writing)) {
      text.append(separator.plus(inner));
      text.append(writeText(key instanceof Text ? key : written(scalarText(key)), writing));
      text.append(keySeparator);
      write(item, writing, inner);
      separator = itemSeparator;
    }
    if (value.size > 0) text.append(outer);
    text.append(written('}'));
  } else {
    text.append(value instanceof Text ? writeText(value, writing) : written(scalarText(value)));
  }
}

const nothing = written('');

function entriesOf(value: Dictionary, { sortKeys, budget }: Writing): readonly (readonly [Value, Value])[] {
  const entries = value.entries();
  return sortKeys === true ? entries.sort(([left], [right]) => compare(left, right, budget)) : entries;
}

function scalarText(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value instanceof Float) return describeFloat(value.value);
  throw new TypeError(`${typeName(value)} has no form in JSON`);
}

function writeText(text: Text, { ensureAscii }: JsonOptions): Text {
  const json = text.computed((value) => JSON.stringify(value));
  if (ensureAscii !== true) return json;
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.computed((value) => value.replaceAll(/[^\0-\u007e]/g, escape));
}
