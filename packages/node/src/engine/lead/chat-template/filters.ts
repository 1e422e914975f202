import { bindArguments, integerArgument, textArgument } from './arguments.ts';
import type { Budget } from './budget.ts';
import { toJson } from './json.ts';
import { attributeAt, elementAt, joinTexts } from './methods.ts';
import { tests } from './tests.ts';
import * as texts from './text-operations.ts';
import { Text, written } from './text.ts';
import {
  areEqual,
  characterCount,
  charactersOf,
  compare,
  Dictionary,
  Float,
  isTruthy,
  itemsOf,
  iterate,
  numberOf,
  toText,
  Tuple,
  typeName,
  type CallArguments,
  type Value,
} from './values.ts';

export type Filter = (value: Value, args: CallArguments, budget: Budget) => Value;

/** The filters of Jinja that chat templates use. An undefined value counts as an empty text or list. */
export const filters: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['safe', (value) => value],
  ['string', (value, _args, budget) => toText(value, budget)],
  ['tojson', jsonFilter],
  ['default', defaultFilter],
  ['d', defaultFilter],
  ['length', lengthFilter],
  ['count', lengthFilter],
  ['trim', (value, args, budget) => trimFilter(toText(value, budget), args)],
  ['upper', (value, _args, budget) => toText(value, budget).computed((text) => text.toUpperCase())],
  ['lower', (value, _args, budget) => toText(value, budget).computed((text) => text.toLowerCase())],
  ['capitalize', (value, _args, budget) => toText(value, budget).computed(texts.capitalize)],
  ['title', (value, _args, budget) => toText(value, budget).computed(texts.title)],
  ['replace', replaceFilter],
  ['indent', indentFilter],
  ['join', joinFilter],
  ['list', (value, _args, budget) => [...iterate(value, budget)]],
  ['first', (value, _args, budget) => elementAt(value instanceof Text ? value : iterate(value, budget), 0, budget)],
  ['last', (value, _args, budget) => elementAt(value instanceof Text ? value : iterate(value, budget), -1, budget)],
  ['reverse', reverseFilter],
  ['sort', sortFilter],
  ['unique', uniqueFilter],
  ['min', (value, _args, budget) => [...iterate(value, budget)].sort((left, right) => compare(left, right, budget))[0]],
  ['max', (value, _args, budget) => [...iterate(value, budget)].sort((left, right) => compare(right, left, budget))[0]],
  [
    'sum',
    (value, _args, budget) =>
      iterate(value, budget).reduce<number>((sum, item) => sum + (numberOf(item) ?? Number.NaN), 0),
  ],
  ['map', mapFilter],
  ['select', (value, args, budget) => pick(value, args, { keeps: true, attribute: false }, budget)],
  ['reject', (value, args, budget) => pick(value, args, { keeps: false, attribute: false }, budget)],
  ['selectattr', (value, args, budget) => pick(value, args, { keeps: true, attribute: true }, budget)],
  ['rejectattr', (value, args, budget) => pick(value, args, { keeps: false, attribute: true }, budget)],
  [
    'items',
    (value) =>
      value === undefined
        ? []
        : dictionary('items', value)
            .entries()
            .map((entry) => new Tuple(entry)),
  ],
  ['dictsort', dictsortFilter],
  ['int', intFilter],
  ['float', floatFilter],
  ['abs', (value) => (value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(number('abs', value)))],
  ['round', roundFilter],
  ['bool', (value) => isTruthy(value)],
  ['attr', (value, args) => attributeAt(value, args.positional[0])],
]);

/**
 * Finds a filter by its name.
 *
 * @throws TypeError when there is none
 */
export function findFilter(name: string): Filter {
  const filter = filters.get(name);
  if (filter === undefined) throw new TypeError(`no filter named '${name}'`);
  return filter;
}

function jsonFilter(value: Value, args: CallArguments, budget: Budget): Text {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'] as const;
  const {
    ensure_ascii = false,
    indent = null,
    separators = null,
    sort_keys = false,
  } = bindArguments('tojson', names, args);
  const pair = itemsOf(separators)?.map((separator) => textArgument('tojson', separator));
  const [item, key] = pair ?? [];
  return toJson(
    value,
    {
      ensureAscii: isTruthy(ensure_ascii),
      sortKeys: isTruthy(sort_keys),
      indent: indentText(indent, budget),
      separators: item === undefined || key === undefined ? undefined : [item, key],
    },
    budget,
  );
}

function indentText(indent: Value, budget: Budget): Text | undefined {
  if (indent === null || indent instanceof Text) return indent ?? undefined;
  return texts.repeat(written(' '), integerArgument('indent', indent), budget);
}

function defaultFilter(value: Value, args: CallArguments): Value {
  const { default_value = written(''), boolean = false } = bindArguments('default', ['default_value', 'boolean'], args);
  return value === undefined || (isTruthy(boolean) && !isTruthy(value)) ? default_value : value;
}

function reverseFilter(value: Value, _args: CallArguments, budget: Budget): Value {
  if (value instanceof Text) return Text.join(charactersOf(value, budget).reverse());
  return [...iterate(value, budget)].reverse();
}

function lengthFilter(value: Value, _args: CallArguments, budget: Budget): number {
  if (value instanceof Text) return characterCount(value, budget);
  return value instanceof Dictionary ? value.size : iterate(value, budget).length;
}

function trimFilter(text: Text, args: CallArguments): Text {
  const { chars = null } = bindArguments('trim', ['chars'], args);
  const ends = { left: true, right: true };
  return chars === null ? texts.strip(text, ends) : texts.strip(text, ends, textArgument('trim', chars).value);
}

function replaceFilter(value: Value, args: CallArguments, budget: Budget): Text {
  const { old, new: by, count = -1 } = bindArguments('replace', ['old', 'new', 'count'], args);
  const [{ value: from }, to] = [textArgument('replace', old), textArgument('replace', by)];
  const times = count === null ? -1 : integerArgument('replace', count);
  return texts.replace(toText(value, budget), { from, to, count: times }, budget);
}

function indentFilter(value: Value, args: CallArguments, budget: Budget): Text {
  const { width = 4, first = false, blank = false } = bindArguments('indent', ['width', 'first', 'blank'], args);
  const options = { width: indentText(width, budget) ?? written(''), first: isTruthy(first), blank: isTruthy(blank) };
  return texts.indent(toText(value, budget), options, budget);
}

function joinFilter(value: Value, args: CallArguments, budget: Budget): Text {
  const { d = written(''), attribute = null } = bindArguments('join', ['d', 'attribute'], args);
  const items = iterate(value, budget).map((item) => (attribute === null ? item : attributeAt(item, attribute)));
  budget.list(items.length);
  return joinTexts(
    items.map((item) => toText(item, budget)),
    toText(d, budget),
    budget,
  );
}

function sortFilter(value: Value, args: CallArguments, budget: Budget): Value {
  const names = ['reverse', 'case_sensitive', 'attribute'] as const;
  const { reverse = false, case_sensitive = false, attribute = null } = bindArguments('sort', names, args);
  const direction = isTruthy(reverse) ? -1 : 1;
  const keyed = iterate(value, budget).map((item) => {
    const key = attribute === null ? item : attributeAt(item, attribute);
    return { item, key: isTruthy(case_sensitive) ? key : foldCase(key) };
  });
  return keyed.sort((left, right) => direction * compare(left.key, right.key, budget)).map(({ item }) => item);
}

function foldCase(value: Value): Value {
  return value instanceof Text ? value.computed((text) => text.toLowerCase()) : value;
}

function uniqueFilter(value: Value, _args: CallArguments, budget: Budget): Value {
  const kept: Value[] = [];
  for (const item of iterate(value, budget)) {
    if (!kept.some((known) => areEqual(foldCase(known), foldCase(item), budget))) kept.push(item);
  }
  return kept;
}

function mapFilter(value: Value, args: CallArguments, budget: Budget): Value {
  if (args.named.has('attribute')) {
    const path = args.named.get('attribute');
    return iterate(value, budget).map((item) => attributeAt(item, path) ?? args.named.get('default'));
  }
  const [name, ...positional] = args.positional;
  const filter = findFilter(textArgument('map', name).value);
  return iterate(value, budget).map((item) => {
    budget.step();
    return filter(item, { positional, named: args.named }, budget);
  });
}

/** Keeps, or drops, the elements that pass a test, or whose attribute passes it; without a test, those that are truthy. */
function pick(
  value: Value,
  { positional }: CallArguments,
  { keeps, attribute }: { keeps: boolean; attribute: boolean },
  budget: Budget,
): Value {
  const [path, ...rest] = attribute ? positional : [undefined, ...positional];
  const [name = written('truthy'), ...args] = rest;
  const { value: testName } = textArgument('select', name);
  const test = tests.get(testName);
  if (test === undefined) throw new TypeError(`no test named '${testName}'`);
  // As Python's, which looks at the elements only when somebody asks for them: so nothing fails for None here.
  return (value === null ? [] : iterate(value, budget)).filter((item) => {
    budget.step();
    const tested = attribute ? attributeAt(item, path) : item;
    return test(tested, { positional: args, named: new Map() }, budget) === keeps;
  });
}

function dictsortFilter(value: Value, args: CallArguments, budget: Budget): Value {
  const names = ['case_sensitive', 'by', 'reverse'] as const;
  const { case_sensitive = false, by = written('key'), reverse = false } = bindArguments('dictsort', names, args);
  const index = by instanceof Text && by.value === 'value' ? 1 : 0;
  const direction = isTruthy(reverse) ? -1 : 1;
  const key = (entry: readonly Value[]) => (isTruthy(case_sensitive) ? entry[index] : foldCase(entry[index]));
  return dictionary('dictsort', value)
    .entries()
    .sort((left, right) => direction * compare(key(left), key(right), budget))
    .map((entry) => new Tuple(entry));
}

function dictionary(called: string, value: Value): Dictionary {
  if (value instanceof Dictionary) return value;
  throw new TypeError(`${called} takes a dictionary, got ${typeName(value)}`);
}

function number(called: string, value: Value): number {
  const result = numberOf(value);
  if (result === undefined) throw new TypeError(`${called} takes a number, got ${typeName(value)}`);
  return result;
}

function intFilter(value: Value, args: CallArguments): Value {
  const { default: otherwise = 0 } = bindArguments('int', ['default'], args);
  const parsed = value instanceof Text ? parseNumber(value.value) : numberOf(value);
  return parsed === undefined ? otherwise : Math.trunc(parsed);
}

function floatFilter(value: Value, args: CallArguments): Value {
  const { default: otherwise = new Float(0) } = bindArguments('float', ['default'], args);
  const parsed = value instanceof Text ? parseNumber(value.value) : numberOf(value);
  return parsed === undefined ? otherwise : new Float(parsed);
}

function parseNumber(text: string): number | undefined {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text) ? Number(text) : undefined;
}

function roundFilter(value: Value, args: CallArguments): Value {
  const { precision = 0 } = bindArguments('round', ['precision'], args);
  const factor = 10 ** Math.min(15, Math.max(-15, integerArgument('round', precision)));
  return new Float(roundHalfToEven(number('round', value) * factor) / factor);
}

function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
