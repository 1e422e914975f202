import { bindArguments, integerArgument, textArgument } from './arguments.ts';
import type { Budget } from './budget.ts';
import * as texts from './text-operations.ts';
import {
  areEqual,
  Callable,
  characterCount,
  charactersOf,
  hasSurrogates,
  isMap,
  itemsOf,
  iterate,
  toText,
  Tuple,
  typeName,
  type CallArguments,
  type Value,
} from './values.ts';

type Method<Self> = (self: Self, args: CallArguments, budget: Budget) => Value;

/** A method of a text, list or dictionary; undefined where it has none of that name. */
export function findMethod(self: Value, name: string, budget: Budget): Callable | undefined {
  if (typeof self === 'string') return bind(textMethods, self, name, budget);
  if (isMap(self)) return bind(dictionaryMethods, self, name, budget);
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

const textMethods: ReadonlyMap<string, Method<string>> = new Map<string, Method<string>>([
  ['upper', (self) => self.toUpperCase()],
  ['lower', (self) => self.toLowerCase()],
  ['capitalize', (self) => texts.capitalize(self)],
  ['title', (self) => texts.title(self)],
  ['strip', stripMethod('strip', { left: true, right: true })],
  ['lstrip', stripMethod('lstrip', { left: true, right: false })],
  ['rstrip', stripMethod('rstrip', { left: false, right: true })],
  ['split', splitMethod('split', false)],
  ['rsplit', splitMethod('rsplit', true)],
  ['splitlines', (self) => self.replace(/\r?\n$/, '').split(/\r?\n/)],
  ['startswith', affixMethod('startswith', (self, affix) => self.startsWith(affix))],
  ['endswith', affixMethod('endswith', (self, affix) => self.endsWith(affix))],
  [
    'removeprefix',
    (self, args) => {
      const prefix = textArgument('removeprefix', args.positional[0]);
      return self.startsWith(prefix) ? self.slice(prefix.length) : self;
    },
  ],
  [
    'removesuffix',
    (self, args) => {
      const suffix = textArgument('removesuffix', args.positional[0]);
      return suffix !== '' && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
    },
  ],
  [
    'replace',
    (self, args, budget) => {
      const { old, new: by, count = -1 } = bindArguments('replace', ['old', 'new', 'count'], args);
      const [from, to] = [textArgument('replace', old), textArgument('replace', by)];
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
  ['find', searchMethod('find', (self, wanted, budget) => characterIndex(self, self.indexOf(wanted), budget))],
  ['rfind', searchMethod('rfind', (self, wanted, budget) => characterIndex(self, self.lastIndexOf(wanted), budget))],
  ['count', searchMethod('count', (self, wanted) => self.split(wanted).length - 1)],
  ['isdigit', (self) => /^\p{Nd}+$/u.test(self)],
  ['isalpha', (self) => /^\p{L}+$/u.test(self)],
  ['isalnum', (self) => /^[\p{L}\p{N}]+$/u.test(self)],
  ['isspace', (self) => self !== '' && texts.strip(self, { left: true, right: false }) === ''],
  ['isupper', (self) => self === self.toUpperCase() && self !== self.toLowerCase()],
  ['islower', (self) => self === self.toLowerCase() && self !== self.toUpperCase()],
  ['format', formatText],
]);

const dictionaryMethods: ReadonlyMap<string, Method<ReadonlyMap<Value, Value>>> = new Map<
  string,
  Method<ReadonlyMap<Value, Value>>
>([
  [
    'get',
    (self, args) => {
      const { key, default: otherwise = null } = bindArguments('get', ['key', 'default'], args);
      return self.has(key) ? self.get(key) : otherwise;
    },
  ],
  ['items', (self) => [...self].map((entry) => new Tuple(entry))],
  ['keys', (self) => [...self.keys()]],
  ['values', (self) => [...self.values()]],
  ['copy', (self) => new Map(self)],
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

/** Joins texts. The size of the result is counted before it is made. */
export function joinTexts(parts: readonly string[], separator: string, budget: Budget): string {
  budget.list(parts.length);
  budget.newText(parts.reduce((sum, part) => sum + part.length, 0) + separator.length * Math.max(0, parts.length - 1));
  return parts.join(separator);
}

function stripMethod(name: string, ends: { left: boolean; right: boolean }): Method<string> {
  return (self, args) => {
    const { chars = null } = bindArguments(name, ['chars'], args);
    return chars === null ? texts.strip(self, ends) : texts.strip(self, ends, textArgument(name, chars));
  };
}

function splitMethod(name: string, fromRight: boolean): Method<string> {
  return (self, args, budget) => {
    const { sep = null, maxsplit = -1 } = bindArguments(name, ['sep', 'maxsplit'], args);
    const separator = sep === null ? undefined : textArgument(name, sep);
    const parts = texts.split(self, { separator, limit: integerArgument(name, maxsplit), fromRight }, budget);
    budget.newList(parts.length);
    return parts;
  };
}

function affixMethod(name: string, has: (self: string, affix: string) => boolean): Method<string> {
  return (self, args) => {
    const [affix] = args.positional;
    const affixes = affix instanceof Tuple ? affix.items : [affix];
    return affixes.some((one) => has(self, textArgument(name, one)));
  };
}

function searchMethod(name: string, search: (self: string, wanted: string, budget: Budget) => number): Method<string> {
  return (self, args, budget) => {
    const wanted = textArgument(name, args.positional[0]);
    budget.search(self.length, wanted.length);
    return search(self, wanted, budget);
  };
}

/** Python counts characters where JavaScript counts UTF-16 code units. */
function characterIndex(text: string, index: number, budget: Budget): number {
  return index < 0 ? index : characterCount(text.slice(0, index), budget);
}

/** `'{} {0} {name}'.format(…)`, without format specifications. */
function formatText(self: string, { positional, named }: CallArguments, budget: Budget): string {
  let next = 0;
  const parts = self.split(/(\{\{|\}\}|\{[^{}]*\})/).map((part) => {
    if (part === '{{' || part === '}}') return part.slice(1);
    if (!part.startsWith('{')) return part;
    const field = part.slice(1, -1);
    if (field === '') return toText(positional[next++], budget);
    if (/^\d+$/.test(field)) return toText(positional[Number(field)], budget);
    if (!named.has(field)) throw new TypeError(`format() was given no '${field}'`);
    return toText(named.get(field), budget);
  });
  return joinTexts(parts, '', budget);
}

/** An element of a list by its position, which counts from the end when negative; a character of a text. */
export function elementAt(value: readonly Value[] | string, index: number, budget: Budget): Value {
  return typeof value === 'string' && hasSurrogates(value) ? charactersOf(value, budget).at(index) : value.at(index);
}

/** An attribute by a dotted path, as filters take it: `function.name`, `0`. */
export function attributeAt(value: Value, path: Value): Value {
  let current = value;
  for (const part of typeof path === 'string' ? path.split('.') : [path]) {
    const items = itemsOf(current);
    if (isMap(current)) current = current.get(part);
    else if (items !== undefined) current = items.at(Number(part));
    else throw new TypeError(`'${typeName(current)}' has no attributes`);
  }
  return current;
}
