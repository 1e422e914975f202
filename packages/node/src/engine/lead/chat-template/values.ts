import { BoundedText, type Budget } from './budget.ts';
import { Text, written } from './text.ts';

/**
 * A value of a template, as Python has it: `None` is null, an integer is a number, a text a {@link Text}, an undefined
 * value undefined.
 */
export type Value =
  | Text
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
  | Dictionary;

/** A number with a fraction, even where the fraction is 0: Python writes `1.0`. */
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

/**
 * Returns the key by which a dictionary finds an entry: texts are equal when their characters are, whatever their
 * sources.
 */
function keyOf(value: Value): unknown {
  return value instanceof Text ? value.value : value;
}

/** An immutable dictionary, in the order in which its entries were given. */
export class Dictionary {
  readonly #entries: ReadonlyMap<unknown, readonly [key: Value, value: Value]>;

  constructor(entries: Iterable<readonly [key: Value, value: Value]>) {
    this.#entries = new Map([...entries].map((entry) => [keyOf(entry[0]), entry]));
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Value): boolean {
    return this.#entries.has(keyOf(key));
  }

  get(key: Value): Value {
    return this.#entries.get(keyOf(key))?.[1];
  }

  entries(): (readonly [key: Value, value: Value])[] {
    return [...this.#entries.values()];
  }
}

/** An object whose attributes a template may set. */
export class Namespace {
  readonly attributes: Map<string, Value>;
  constructor(attributes: Map<string, Value>) {
    this.attributes = attributes;
  }
}

/** The state of a loop, which its body knows as `loop`. */
export class Loop {
  readonly #items: readonly Value[];
  readonly #index: number;

  constructor(items: readonly Value[], index: number) {
    this.#items = items;
    this.#index = index;
  }

  attribute(name: string): Value {
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

/** The arguments of a call. */
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

/** Tells whether a value is a list, as opposed to a tuple. */
export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** Returns the number that an integer, a float or a boolean stands for; undefined for anything else. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (value instanceof Float) return value.value;
  return typeof value === 'boolean' ? Number(value) : undefined;
}

/** Returns Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (value === undefined) return 'Undefined';
  if (isList(value)) return 'list';
  if (value instanceof Text) return 'str';
  if (value instanceof Dictionary) return 'dict';
  if (value instanceof Float) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Loop) return 'LoopContext';
  if (value instanceof Callable) return 'function';
  return typeof value === 'number' ? 'int' : 'bool';
}

/** Tells whether Python takes a value as true: numbers except 0, and texts and containers with content. */
export function isTruthy(value: Value): boolean {
  if (isList(value)) return value.length > 0;
  if (value instanceof Text) return value.length > 0;
  if (value instanceof Dictionary) return value.size > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Float) return value.value !== 0;
  return Boolean(value);
}

/** Tells whether Python takes two values as equal. */
export function areEqual(left: Value, right: Value, budget: Budget): boolean {
  budget.step();
  const numbers = [numberOf(left), numberOf(right)];
  if (numbers[0] !== undefined || numbers[1] !== undefined) return numbers[0] === numbers[1];
  if (isList(left) && isList(right)) return areListsEqual(left, right, budget);
  if (left instanceof Tuple && right instanceof Tuple) return areListsEqual(left.items, right.items, budget);
  if (left instanceof Text && right instanceof Text) return left.value === right.value;
  if (left instanceof Dictionary && right instanceof Dictionary) {
    const isSame = ([key, value]: readonly [Value, Value]) => right.has(key) && areEqual(value, right.get(key), budget);
    return left.size === right.size && left.entries().every(isSame);
  }
  return left === right;
}

function areListsEqual(left: readonly Value[], right: readonly Value[], budget: Budget): boolean {
  return left.length === right.length && left.every((value, index) => areEqual(value, right[index], budget));
}

/**
 * Compares two values as Python does: negative, 0 or positive.
 *
 * @throws TypeError when they have no order
 */
export function compare(left: Value, right: Value, budget: Budget): number {
  budget.step();
  if (left instanceof Text && right instanceof Text) return compareTexts(left.value, right.value);
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

/** Compares by code points, where JavaScript compares UTF-16. */
function compareTexts(left: string, right: string): number {
  if (left === right) return 0;
  const [first, second] = [Buffer.from(left), Buffer.from(right)];
  return Buffer.compare(first, second);
}

/** Returns the elements of a list or a tuple; undefined for anything else. */
export function itemsOf(value: Value): readonly Value[] | undefined {
  if (isList(value)) return value;
  return value instanceof Tuple ? value.items : undefined;
}

/**
 * Returns the elements of a loop over a value: a dictionary's keys, a text's characters, none for an undefined value.
 *
 * @throws TypeError when it can't be iterated over
 */
export function iterate(value: Value, budget: Budget): readonly Value[] {
  if (value === undefined) return [];
  if (value instanceof Text) return charactersOf(value, budget);
  if (value instanceof Dictionary) {
    budget.list(value.size);
    return value.entries().map(([key]) => key);
  }
  const items = itemsOf(value);
  if (items === undefined) throw new TypeError(`'${typeName(value)}' object is not iterable`);
  return items;
}

/** Returns a text's characters as Python counts them: code points. */
export function charactersOf(text: Text, budget: Budget): Text[] {
  budget.newList(text.length);
  let end = 0;
  return Array.from(text.value, (character) => {
    end += character.length;
    return text.slice(end - character.length, end);
  });
}

/** Returns how many characters a text has, as Python counts them. */
export function characterCount(text: Text, budget: Budget): number {
  return hasSurrogates(text.value) ? charactersOf(text, budget).length : text.length;
}

/** Tells whether a text has surrogates, so that Python counts its characters otherwise. */
export function hasSurrogates(text: string): boolean {
  return /[\ud800-\udfff]/.test(text);
}

/** Writes a value as Python's `str()` and templates do. */
export function toText(value: Value, budget: Budget): Text {
  if (value instanceof Text) return value;
  if (value === undefined) return written('');
  const text = new BoundedText(budget);
  describe(value, text);
  return text.value;
}

/** Writes a value as Python's `repr()` does. */
function describe(value: Value, text: BoundedText): void {
  if (value instanceof Text) {
    text.append(value.computed(describeText));
  } else if (isList(value)) {
    describeItems(['[', ']'], value, text);
  } else if (value instanceof Tuple) {
    describeItems(['(', value.items.length === 1 ? ',)' : ')'], value.items, text);
  } else if (value instanceof Dictionary) {
    let separator = '{';
    for (const [key, item] of value.entries()) {
      text.append(written(separator));
      describe(key, text);
      text.append(written(': '));
      describe(item, text);
      separator = ', ';
    }
    text.append(written(value.size === 0 ? '{}' : '}'));
  } else {
    text.append(written(describeScalar(value)));
  }
}

function describeItems([open, close]: readonly [string, string], items: readonly Value[], text: BoundedText): void {
  text.append(written(open));
  for (const [index, item] of items.entries()) {
    if (index > 0) text.append(written(', '));
    describe(item, text);
  }
  text.append(written(close));
}

function describeScalar(value: Value): string {
  if (value === null) return 'None';
  if (value === undefined) return 'Undefined';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return value instanceof Float ? describeFloat(value.value) : `<${typeName(value)}>`;
}

/** Writes a float as Python does: `1.0`, `inf`, `nan`. */
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
