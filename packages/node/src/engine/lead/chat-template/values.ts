import { BoundedText, type Budget } from './budget.ts';

/**
 * Values of a template, as Python has them: `None` is null, an integer is a number, a dictionary a Map. What is not
 * defined is undefined.
 */
export type Value =
  | string
  | number
  | boolean
  | null
  | undefined
  | Float
  | Tuple
  | Namespace
  | Loop
  | Callable
  | readonly Value[]
  | ReadonlyMap<Value, Value>;

/** A number with a fraction, also where the fraction is 0: Python writes `1.0`. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** An immutable list. */
export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** An object whose attributes a template may set. */
export class Namespace {
  readonly attributes: Map<string, Value>;
  constructor(attributes: Map<string, Value>) {
    this.attributes = attributes;
  }
}

/** Where a loop has got to: what its body knows as `loop`. */
export class Loop {
  readonly #items: readonly Value[];
  readonly #index: number;

  constructor(items: readonly Value[], index: number) {
    this.#items = items;
    this.#index = index;
  }

  attribute(name: Value): Value {
    const [items, index] = [this.#items, this.#index];
    switch (name) {
      case 'index':
        return index + 1;
      case 'index0':
        return index;
      case 'revindex':
        return items.length - index;
      case 'revindex0':
        return items.length - index - 1;
      case 'first':
        return index === 0;
      case 'last':
        return index === items.length - 1;
      case 'length':
        return items.length;
      case 'previtem':
        return index === 0 ? undefined : items[index - 1];
      case 'nextitem':
        return items[index + 1];
      case 'cycle':
        return new Callable('cycle', ({ positional }) => positional[index % positional.length]);
      default:
        return undefined;
    }
  }
}

/** What a call brings. */
export interface CallArguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A macro, a method or a global function. */
export class Callable {
  readonly name: string;
  readonly call: (args: CallArguments) => Value;
  constructor(name: string, call: (args: CallArguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isMap(value: Value): value is ReadonlyMap<Value, Value> {
  return value instanceof Map;
}

/** The number that an integer, a float or a boolean stands for; undefined for anything else. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (value instanceof Float) return value.value;
  return typeof value === 'boolean' ? Number(value) : undefined;
}

/** Turns what JSON can hold into a template's value. */
export function toValue(input: unknown): Value {
  if (typeof input === 'number') return Number.isInteger(input) ? input : new Float(input);
  if (typeof input === 'string' || typeof input === 'boolean' || input === null || input === undefined) return input;
  if (Array.isArray(input)) return input.map(toValue);
  if (typeof input !== 'object') throw new TypeError(`a template can't be given a ${typeof input}`);
  const entries = Object.entries(input).filter(([, value]) => value !== undefined);
  return new Map(entries.map(([key, value]): [Value, Value] => [key, toValue(value)]));
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (value === undefined) return 'Undefined';
  if (isList(value)) return 'list';
  if (isMap(value)) return 'dict';
  if (value instanceof Float) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Loop) return 'LoopContext';
  if (value instanceof Callable) return 'function';
  const names = { string: 'str', number: 'int', boolean: 'bool' } as const;
  return names[typeof value as keyof typeof names];
}

export function isTruthy(value: Value): boolean {
  if (isList(value)) return value.length > 0;
  if (isMap(value)) return value.size > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Float) return value.value !== 0;
  return Boolean(value);
}

export function areEqual(left: Value, right: Value, budget: Budget): boolean {
  budget.step();
  const numbers = [numberOf(left), numberOf(right)];
  if (numbers[0] !== undefined || numbers[1] !== undefined) return numbers[0] === numbers[1];
  if (isList(left) && isList(right)) return areListsEqual(left, right, budget);
  if (left instanceof Tuple && right instanceof Tuple) return areListsEqual(left.items, right.items, budget);
  if (isMap(left) && isMap(right)) {
    const isSame = ([key, value]: readonly [Value, Value]) => right.has(key) && areEqual(value, right.get(key), budget);
    return left.size === right.size && [...left].every(isSame);
  }
  return left === right;
}

function areListsEqual(left: readonly Value[], right: readonly Value[], budget: Budget): boolean {
  return left.length === right.length && left.every((value, index) => areEqual(value, right[index], budget));
}

/**
 * Python's order of two values: negative, 0 or positive.
 * @throws TypeError when they have none
 */
export function compare(left: Value, right: Value, budget: Budget): number {
  budget.step();
  if (typeof left === 'string' && typeof right === 'string') return compareTexts(left, right);
  const numbers = [numberOf(left), numberOf(right)] as const;
  if (numbers[0] !== undefined && numbers[1] !== undefined) return numbers[0] - numbers[1];
  const lists = [itemsOf(left), itemsOf(right)] as const;
  if (lists[0] === undefined || lists[1] === undefined) {
    throw new TypeError(`'${typeName(left)}' and '${typeName(right)}' have no order`);
  }
  for (const [index, item] of lists[0].entries()) {
    if (index >= lists[1].length) break;
    const order = compare(item, lists[1][index], budget);
    if (order !== 0) return order;
  }
  return lists[0].length - lists[1].length;
}

/** By code points, where JavaScript compares UTF-16. */
function compareTexts(left: string, right: string): number {
  if (left === right) return 0;
  const [first, second] = [Buffer.from(left), Buffer.from(right)];
  return Buffer.compare(first, second);
}

/** What a list or a tuple holds; undefined for anything else. */
export function itemsOf(value: Value): readonly Value[] | undefined {
  if (isList(value)) return value;
  return value instanceof Tuple ? value.items : undefined;
}

/**
 * What a loop over the value goes through: a dictionary's keys, a text's characters, nothing for what is not defined.
 * @throws TypeError when it can't be iterated over
 */
export function iterate(value: Value, budget: Budget): readonly Value[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return charactersOf(value, budget);
  if (isMap(value)) {
    budget.list(value.size);
    return [...value.keys()];
  }
  const items = itemsOf(value);
  if (items === undefined) throw new TypeError(`'${typeName(value)}' object is not iterable`);
  return items;
}

/** A text's characters as Python counts them: code points. */
export function charactersOf(text: string, budget: Budget): string[] {
  budget.newList(text.length);
  return Array.from(text);
}

/** How many characters a text has, as Python counts. */
export function characterCount(text: string, budget: Budget): number {
  return hasSurrogates(text) ? charactersOf(text, budget).length : text.length;
}

export function hasSurrogates(text: string): boolean {
  return /[\ud800-\udfff]/.test(text);
}

/** Python's `str()`: what a template writes for a value. */
export function toText(value: Value, budget: Budget): string {
  if (typeof value === 'string') return value;
  if (value === undefined) return '';
  const text = new BoundedText(budget);
  describe(value, text);
  return text.value;
}

/** Python's `repr()`. */
function describe(value: Value, text: BoundedText): void {
  if (isList(value)) {
    describeItems(['[', ']'], value, text);
  } else if (value instanceof Tuple) {
    describeItems(['(', value.items.length === 1 ? ',)' : ')'], value.items, text);
  } else if (isMap(value)) {
    let separator = '{';
    for (const [key, item] of value) {
      text.append(separator);
      describe(key, text);
      text.append(': ');
      describe(item, text);
      separator = ', ';
    }
    text.append(value.size === 0 ? '{}' : '}');
  } else {
    text.append(describeScalar(value));
  }
}

function describeItems([open, close]: readonly [string, string], items: readonly Value[], text: BoundedText): void {
  text.append(open);
  for (const [index, item] of items.entries()) {
    if (index > 0) text.append(', ');
    describe(item, text);
  }
  text.append(close);
}

function describeScalar(value: Value): string {
  if (value === null) return 'None';
  if (value === undefined) return 'Undefined';
  if (typeof value === 'string') return describeText(value);
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return value instanceof Float ? describeFloat(value.value) : `<${typeName(value)}>`;
}

export function describeFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  return Number.isInteger(value) && Math.abs(value) < 1e16 ? value.toFixed(1) : String(value);
}

function describeText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', String.raw`\n`)
    .replaceAll('\r', String.raw`\r`)
    .replaceAll('\t', String.raw`\t`);
  return `${quote}${quote === "'" ? escaped.replaceAll("'", String.raw`\'`) : escaped}${quote}`;
}
