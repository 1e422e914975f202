import type { SchemaFacts } from '../facts.ts';
import { intervalOf, isEmptyInterval, type Bound, type Interval } from '../analysis/bounds.ts';
import {
  characters,
  choice,
  nothing,
  optional,
  repeat,
  rule,
  sequence,
  text,
  type GrammarNode,
} from '../grammar/node.ts';
import { below, refusal, type SchemaPath } from '../refusal.ts';
import { isKnownFormat } from './formats.ts';
import type { NodeContext } from './objects.ts';

/** Greatest whole number of a grammar: up to here all are exact as doubles. */
const greatestWhole = Number.MAX_SAFE_INTEGER;
/** Greatest bound of fractions: with the digits behind the point they have at most 15 digits, which doubles tell apart. */
const greatestBound = 1e9;
const significantDigits = 15;
const mostDecimals = 4;

const digit = characters([0x30, 0x39]);
const nonZeroDigit = characters([0x31, 0x39]);

const integerFormats: Readonly<Record<string, Interval>> = {
  int32: { lower: { value: -(2 ** 31), isExclusive: false }, upper: { value: 2 ** 31 - 1, isExclusive: false } },
  int64: { lower: undefined, upper: undefined },
};
const otherFormats: readonly string[] = ['float', 'double'];

/**
 * Makes a node for numbers that follow all of the schemas.
 *
 * @throws SkeinError `invalid-request` for bounds that a grammar can't have
 */
export function numberNode(
  schemas: readonly SchemaFacts[],
  type: 'number' | 'integer',
  path: SchemaPath,
  { shared }: NodeContext,
): GrammarNode {
  let isInteger = type === 'integer';
  const numbers = schemas.map(({ number }) => number);
  for (const facts of schemas) {
    const { format } = facts;
    // Formats of strings say nothing about numbers.
    if (format === undefined || otherFormats.includes(format) || isKnownFormat(format)) continue;
    const interval = Object.hasOwn(integerFormats, format) ? integerFormats[format] : undefined;
    if (interval === undefined) throw refusal(below(facts.path, 'format'), 'it is no format of numbers that is known');
    isInteger = true;
    numbers.push({
      minimum: interval.lower?.value,
      maximum: interval.upper?.value,
      exclusiveMinimum: undefined,
      exclusiveMaximum: undefined,
      multipleOf: undefined,
    });
  }
  for (const { number, path: at } of schemas) {
    if (number.multipleOf === undefined) continue;
    if (number.multipleOf !== 1) throw refusal(below(at, 'multipleOf'), 'it is not followed, except for 1');
    isInteger = true;
  }
  const interval = intervalOf(numbers);
  if (isEmptyInterval(interval)) {
    return { type: 'never', because: refusal(path, 'its bounds leave no number') };
  }
  if (interval.lower === undefined && interval.upper === undefined) return rule(isInteger ? 'integer' : 'number');
  const node = isInteger ? integers(interval, path) : decimals(interval, path);
  if (node.type === 'never') return node;
  return shared(`${isInteger} ${JSON.stringify(interval)}`, () => node);
}

function integers({ lower, upper }: Interval, path: SchemaPath): GrammarNode {
  const first =
    lower === undefined ? -Infinity : lower.isExclusive ? Math.floor(lower.value) + 1 : Math.ceil(lower.value);
  const last =
    upper === undefined ? Infinity : upper.isExclusive ? Math.ceil(upper.value) - 1 : Math.floor(upper.value);
  if (first > last) return { type: 'never', because: refusal(path, 'its bounds leave no whole number') };
  if (first > greatestWhole || last < -greatestWhole) {
    throw refusal(path, `its bounds lie beyond ${greatestWhole}, where doubles don't tell whole numbers apart`);
  }
  const nodes: GrammarNode[] = [];
  if (first < 0) nodes.push(sequence(text('-'), wholeNumbers(Math.max(1, -last), capped(-first))));
  if (last >= 0) nodes.push(wholeNumbers(Math.max(0, first), capped(last)));
  const [node, ...more] = nodes;
  return node === undefined ? nothing : choice(node, ...more);
}

/** Cuts a number to the greatest of which all are exact. */
function capped(value: number): number {
  return Math.min(value, greatestWhole);
}

/** Makes a node for all whole numbers from `first` to `last`, neither negative. */
function wholeNumbers(first: number, last: number): GrammarNode {
  const alternatives: GrammarNode[] = [];
  // Of a length of which all numbers are in, the digits need no look; such lengths follow one another.
  let complete: { readonly from: number; to: number } | undefined;
  for (let length = String(first).length; length <= String(last).length; length += 1) {
    const [least, most] = [leastOfLength(length), 10 ** length - 1];
    if (length > 1 && first <= least && last >= most) {
      complete ??= { from: length, to: length };
      complete.to = length;
    } else {
      alternatives.push(digitsBetween(String(Math.max(first, least)), String(Math.min(last, most))));
    }
  }
  if (complete !== undefined) {
    alternatives.push(sequence(nonZeroDigit, repeat(digit, complete.from - 1, complete.to - 1)));
  }
  const [node, ...more] = alternatives;
  return node === undefined ? nothing : choice(node, ...more);
}

function leastOfLength(length: number): number {
  return length === 1 ? 0 : 10 ** (length - 1);
}

/** Makes a node for all strings of digits between two of the same length. */
function digitsBetween(from: string, to: string): GrammarNode {
  if (from === '') return nothing;
  if (from === to) return text(from);
  if (/^0*$/.test(from) && /^9*$/.test(to)) return repeat(digit, from.length, from.length);
  const [low, high] = [from.charCodeAt(0), to.charCodeAt(0)];
  const [fromRest, toRest] = [from.slice(1), to.slice(1)];
  if (low === high) return sequence(text(from.charAt(0)), digitsBetween(fromRest, toRest));
  const alternatives: GrammarNode[] = [];
  let [first, last] = [low, high];
  if (!/^0*$/.test(fromRest)) {
    alternatives.push(sequence(text(from.charAt(0)), digitsBetween(fromRest, '9'.repeat(fromRest.length))));
    first += 1;
  }
  const isHighComplete = /^9*$/.test(toRest);
  if (!isHighComplete) last -= 1;
  if (first <= last) {
    alternatives.push(sequence(characters([first, last]), repeat(digit, fromRest.length, fromRest.length)));
  }
  if (!isHighComplete)
    alternatives.push(sequence(text(to.charAt(0)), digitsBetween('0'.repeat(toRest.length), toRest)));
  const [node, ...more] = alternatives;
  return node === undefined ? nothing : choice(node, ...more);
}

/** A bound, scaled to a whole number. */
interface ScaledBound {
  readonly value: number;
  readonly isExclusive: boolean;
}

function decimals({ lower, upper }: Interval, path: SchemaPath): GrammarNode {
  const places = Math.max(decimalsOf(lower, path), decimalsOf(upper, path));
  const nodes: GrammarNode[] = [];
  const hasNegative = lower === undefined || lower.value < 0;
  const negative = hasNegative ? magnitudes({ from: negated(upper), to: negated(lower) }, places, path) : undefined;
  const positive = magnitudes({ from: lower, to: upper }, places, path);
  if (negative !== undefined) nodes.push(sequence(text('-'), negative));
  if (positive !== undefined) nodes.push(positive);
  const [node, ...more] = nodes;
  if (node === undefined) throw refusal(path, 'numbers between its bounds have more decimals than can be followed');
  return choice(node, ...more);
}

function negated(bound: Bound | undefined): Bound | undefined {
  return bound === undefined ? undefined : { ...bound, value: -bound.value };
}

/** Returns the decimals of a bound. One that is far off is moved towards 0 later, so it needs none. */
function decimalsOf(bound: Bound | undefined, path: SchemaPath): number {
  if (bound === undefined || Math.abs(bound.value) > greatestBound) return 0;
  const [, decimals = ''] = /^-?\d+(?:\.(\d+))?$/.exec(String(bound.value)) ?? [
    undefined,
    '0'.repeat(mostDecimals + 1),
  ];
  if (decimals.length > mostDecimals) throw refusal(path, `its bounds have more than ${mostDecimals} decimals`);
  return decimals.length;
}

/**
 * Makes a node for numbers without a sign between two bounds: whole ones, and ones with at least as many decimals as
 * the bounds have. Undefined when there is none.
 */
function magnitudes(
  { from, to }: { readonly from: Bound | undefined; readonly to: Bound | undefined },
  places: number,
  path: SchemaPath,
): GrammarNode | undefined {
  if (to !== undefined && (to.value < 0 || (to.value === 0 && to.isExclusive))) return undefined;
  const isFromZero = from === undefined || from.value < 0;
  if (isFromZero && to === undefined) return rule('unsigned');
  if (!isFromZero && from.value > greatestBound) throw refusal(path, `its bounds are above ${greatestBound}`);
  const scale = 10 ** places;
  const low: ScaledBound = isFromZero
    ? { value: 0, isExclusive: false }
    : { value: Math.round(from.value * scale), isExclusive: from.isExclusive };
  const isOpen = to === undefined || to.value > greatestBound;
  // Up to the last number of as many digits as the lower bound has; what is longer is greater.
  const digits = String(Math.trunc(low.value / scale)).length;
  const high: ScaledBound = isOpen
    ? { value: 10 ** digits * scale, isExclusive: true }
    : { value: Math.round(to.value * scale), isExclusive: to.isExclusive };
  const nodes = between(low, high, places);
  if (to === undefined) {
    const longer = sequence(nonZeroDigit, repeat(digit, digits, significantDigits));
    nodes.push(sequence(longer, optional(sequence(text('.'), repeat(digit, 1, significantDigits)))));
  } else if (isOpen && digits < 9) {
    const longer = sequence(nonZeroDigit, repeat(digit, digits, 8));
    nodes.push(sequence(longer, optional(sequence(text('.'), repeat(digit, 1, significantDigits - 9)))));
  }
  const [node, ...more] = nodes;
  return node === undefined ? undefined : choice(node, ...more);
}

/** Makes nodes for numbers between bounds that are scaled by 10^places. */
function between(low: ScaledBound, high: ScaledBound, places: number): GrammarNode[] {
  const nodes: GrammarNode[] = [];
  const scale = 10 ** places;
  const extra = Math.max(0, significantDigits - String(high.value).length - 1);
  const [first, last] = [low.isExclusive ? low.value + 1 : low.value, high.value - 1];
  const [wholeFirst, wholeLast] = [
    Math.ceil(first / scale),
    Math.floor((high.isExclusive ? high.value - 1 : high.value) / scale),
  ];
  if (wholeFirst <= wholeLast) nodes.push(wholeNumbers(wholeFirst, wholeLast));
  // From a step to the next one: its digits, and any behind them.
  const anyBehind = (least: number): GrammarNode => repeat(digit, least, extra);
  if (first <= last) {
    for (const cells of stepsBetween(first, last, places)) {
      nodes.push(places === 0 ? sequence(cells, text('.'), anyBehind(1)) : sequence(cells, anyBehind(0)));
    }
  }
  if (low.isExclusive && low.value < high.value && extra > 0) {
    const [cell] = stepsBetween(low.value, low.value, places);
    const behind = sequence(repeat(digit, 0, extra - 1), nonZeroDigit);
    if (cell !== undefined) nodes.push(places === 0 ? sequence(cell, text('.'), behind) : sequence(cell, behind));
  }
  if (!high.isExclusive && places > 0 && low.value <= high.value) {
    nodes.push(...stepsBetween(high.value, high.value, places));
  }
  return nodes;
}

/**
 * Makes nodes for the steps of 10^-places from one scaled number to another, each written with its point and all its
 * decimals.
 */
function stepsBetween(first: number, last: number, places: number): GrammarNode[] {
  if (places === 0) return [wholeNumbers(first, last)];
  const scale = 10 ** places;
  const [wholeFirst, wholeLast] = [Math.floor(first / scale), Math.floor(last / scale)];
  const decimalsFrom = (scaled: number): string => String(scaled % scale).padStart(places, '0');
  const [zeros, nines] = ['0'.repeat(places), '9'.repeat(places)];
  const of = (whole: GrammarNode, from: string, to: string): GrammarNode =>
    sequence(whole, text('.'), digitsBetween(from, to));
  if (wholeFirst === wholeLast) return [of(text(String(wholeFirst)), decimalsFrom(first), decimalsFrom(last))];
  const nodes = [of(text(String(wholeFirst)), decimalsFrom(first), nines)];
  if (wholeFirst + 1 < wholeLast) nodes.push(of(wholeNumbers(wholeFirst + 1, wholeLast - 1), zeros, nines));
  nodes.push(of(text(String(wholeLast)), zeros, decimalsFrom(last)));
  return nodes;
}
