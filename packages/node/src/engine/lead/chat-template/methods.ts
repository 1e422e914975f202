import { bindArguments, integerArgument, textArgument } from './arguments.ts';
import type { Budget } from './budget.ts';
import * as texts from './text-operations.ts';
import { Text, written } from './text.ts';
import {
  areEqual,
  Callable,
  characterCount,
  charactersOf,
  Dictionary,
  hasSurrogates,
  itemsOf,
  iterate,
  toText,
  Tuple,
  typeName,
  type CallArguments,
  type Value,
} from './values.ts';

type Method<Self> = (self: Self, args: CallArguments, budget: Budget) => Value;

/** Finds a method of a text, list or dictionary; undefined where it has none of that name. */
export function findMethod(self: Value, name: string, budget: Budget): Callable | undefined {
  if (self instanceof Text) return bind(textMethods, self, name, budget);
  if (self instanceof Dictionary) return bind(dictionaryMethods, self, name, budget);
  const items = itemsOf(self);
  return items === undefined ? undefined : bind(listMethods, items, name, budget);
}

function bind<Self>(
  methods: ReadonlyMap<string, Method<Self>>,
  self: Self,
  name: string,
  budget: Budget,
): Callable | undefined {
  const method = methods.get(name);
  return method === undefined ? undefined : new Callable(name, (args) => method(self, args, budget));
}

export const textMethods: ReadonlyMap<string, Method<Text>> = new Map<string, Method<Text>>([
  ['upper', (self) => self.computed((value) => value.toUpperCase())],
  ['lower', (self) => self.computed((value) => value.toLowerCase())],
  ['capitalize', (self) => self.computed(texts.capitalize)],
  ['title', (self) => self.computed(texts.title)],
  ['strip', stripMethod('strip', { left: true, right: true })],
  ['lstrip', stripMethod('lstrip', { left: true, right: false })],
  ['rstrip', stripMethod('rstrip', { left: false, right: true })],
  ['split', splitMethod('split', false)],
  ['rsplit', splitMethod('rsplit', true)],
  ['splitlines', (self) => texts.splitLines(self)],
  ['startswith', affixMethod('startswith', (self, affix) => self.startsWith(affix))],
  ['endswith', affixMethod('endswith', (self, affix) => self.endsWith(affix))],
  [
    'removeprefix',
    (self, args) => {
      const prefix = textArgument('removeprefix', args.positional[0]);
      return self.value.startsWith(prefix.value) ? self.slice(prefix.length) : self;
    },
  ],
  [
    'removesuffix',
    (self, args) => {
      const suffix = textArgument('removesuffix', args.positional[0]);
      return self.value.endsWith(suffix.value) ? self.slice(0, self.length - suffix.length) : self;
    },
  ],
  [
    'replace',
    (self, args, budget) => {
      const { old, new: by, count = -1 } = bindArguments('replace', ['old', 'new', 'count'], args);
      const [{ value: from }, to] = [textArgument('replace', old), textArgument('replace', by)];
      return texts.replace(self, { from, to, count: integerArgument('replace', count) }, budget);
    },
  ],
  [
    'join',
    (self, args, budget) => {
      const parts = iterate(args.positional[0], budget).map((item) => textArgument('join', item));
      return joinTexts(parts, self, budget);
    },
  ],
  ['find', searchMethod('find', (self, wanted, budget) => characterIndex(self, self.value.indexOf(wanted), budget))],
  [
    'rfind',
    searchMethod('rfind', (self, wanted, budget) => characterIndex(self, self.value.lastIndexOf(wanted), budget)),
  ],
  ['count', searchMethod('count', (self, wanted) => self.value.split(wanted).length - 1)],
  ['isdigit', ({ value }) => /^\p{Nd}+$/u.test(value)],
  ['isalpha', ({ value }) => /^\p{L}+$/u.test(value)],
  ['isalnum', ({ value }) => /^[\p{L}\p{N}]+$/u.test(value)],
  ['isspace', (self) => self.length > 0 && texts.strip(self, { left: true, right: false }).length === 0],
  ['isupper', ({ value }) => value === value.toUpperCase() && value !== value.toLowerCase()],
  ['islower', ({ value }) => value === value.toLowerCase() && value !== value.toUpperCase()],
  ['format', formatText],
]);

const dictionaryMethods: ReadonlyMap<string, Method<Dictionary>> = new Map<string, Method<Dictionary>>([
  [
    'get',
    (self, args) => {
      const { key, default: otherwise = null } = bindArguments('get', ['key', 'default'], args);
      return self.has(key) ? self.get(key) : otherwise;
    },
  ],
  ['items', (self) => self.entries().map((entry) => new Tuple(entry))],
  ['keys', (self) => self.entries().map(([key]) => key)],
  ['values', (self) => self.entries().map(([, value]) => value)],
  ['copy', (self) => self],
]);

const listMethods: ReadonlyMap<string, Method<readonly Value[]>> = new Map<string, Method<readonly Value[]>>([
  ['count', (self, args, budget) => self.filter((item) => areEqual(item, args.positional[0], budget)).length],
  [
    'index',
    (self, args, budget) => {
      const found = self.findIndex((item) => areEqual(item, args.positional[0], budget));
      if (found < 0) throw new TypeError('index() found no such element');
      return found;
    },
  ],
  ['copy', (self) => [...self]],
]);

/** Joins texts. Counts the size of the result before making it. */
export function joinTexts(parts: readonly Text[], separator: Text, budget: Budget): Text {
  budget.list(parts.length);
  budget.newText(parts.reduce((sum, part) => sum + part.length, 0) + separator.length * Math.max(0, parts.length - 1));
  return Text.join(parts, separator);
}

function stripMethod(name: string, ends: { left: boolean; right: boolean }): Method<Text> {
  return (self, args) => {
    const { chars = null } = bindArguments(name, ['chars'], args);
    return chars === null ? texts.strip(self, ends) : texts.strip(self, ends, textArgument(name, chars).value);
  };
}

function splitMethod(name: string, fromRight: boolean): Method<Text> {
  return (self, args, budget) => {
    const { sep = null, maxsplit = -1 } = bindArguments(name, ['sep', 'maxsplit'], args);
    const separator = sep === null ? undefined : textArgument(name, sep).value;
    const parts = texts.split(self, { separator, limit: integerArgument(name, maxsplit), fromRight }, budget);
    budget.newList(parts.length);
    return parts;
  };
}

function affixMethod(name: string, has: (self: string, affix: string) => boolean): Method<Text> {
  return (self, args) => {
    const [affix] = args.positional;
    const affixes = affix instanceof Tuple ? affix.items : [affix];
    return affixes.some((one) => has(self.value, textArgument(name, one).value));
  };
}

function searchMethod(name: string, search: (self: Text, wanted: string, budget: Budget) => number): Method<Text> {
  return (self, args, budget) => {
    const { value: wanted } = textArgument(name, args.positional[0]);
    budget.search(self.length, wanted.length);
    return search(self, wanted, budget);
  };
}

/** Converts an index into one of Python's, which counts characters where JavaScript counts UTF-16 code units. */
function characterIndex(text: Text, index: number, budget: Budget): number {
  return index < 0 ? index : characterCount(text.slice(0, index), budget);
}

/** Formats as `'{} {0} {name}'.format(…)`, without format specifications. */
function formatText(self: Text, { positional, named }: CallArguments, budget: Budget): Text {
  let next = 0;
  let end = 0;
  const parts = self.value.split(/(\{\{|\}\}|\{[^{}]*\})/).map((value) => {
    const part = self.slice(end, end + value.length);
    end += value.length;
    if (value === '{{' || value === '}}') return part.slice(1);
    if (!value.startsWith('{')) return part;
    const field = value.slice(1, -1);
    if (field === '') return toText(positional[next++], budget);
    if (/^\d+$/.test(field)) return toText(positional[Number(field)], budget);
    if (!named.has(field)) throw new TypeError(`format() was given no '${field}'`);
    return toText(named.get(field), budget);
  });
  return joinTexts(parts, written(''), budget);
}

/** Returns an element of a list by its position, which counts from the end when negative; a character of a text. */
export function elementAt(value: readonly Value[] | Text, index: number, budget: Budget): Value {
  if (!(value instanceof Text)) return value.at(index);
  if (hasSurrogates(value.value)) return charactersOf(value, budget).at(index);
  const start = index < 0 ? index + value.length : index;
  return start < 0 || start >= value.length ? undefined : value.slice(start, start + 1);
}

/**
 * Returns an attribute by a dotted path, as filters take it: `function.name`, `0`.
 *
 * @throws TypeError for a value without attributes
 */
export function attributeAt(value: Value, path: Value): Value {
  let current = value;
  for (const part of path instanceof Text ? path.value.split('.') : [path]) {
    const items = itemsOf(current);
    if (current instanceof Dictionary) current = current.get(typeof part === 'string' ? written(part) : part);
    else if (items !== undefined) current = items.at(Number(part));
    else throw new TypeError(`'${typeName(current)}' has no attributes`);
  }
  return current;
}
