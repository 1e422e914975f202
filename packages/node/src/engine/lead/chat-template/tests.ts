import { integerArgument, textArgument } from './arguments.ts';
import type { Budget } from './budget.ts';
import { Text } from './text.ts';
import {
  areEqual,
  Callable,
  Dictionary,
  isTruthy,
  itemsOf,
  iterate,
  typeName,
  type CallArguments,
  type Value,
} from './values.ts';

/** A test behind `is`, which `select` takes by its name. */
export type Test = (value: Value, args: CallArguments, budget: Budget) => boolean;

export const tests: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (value) => value !== undefined],
  ['undefined', (value) => value === undefined],
  ['none', (value) => value === null],
  ['boolean', (value) => typeof value === 'boolean'],
  ['true', (value) => value === true],
  ['false', (value) => value === false],
  ['string', (value) => value instanceof Text],
  ['integer', (value) => typeof value === 'number'],
  ['float', (value) => typeName(value) === 'float'],
  ['number', (value) => ['int', 'float', 'bool'].includes(typeName(value))],
  ['mapping', (value) => value instanceof Dictionary],
  ['sequence', isSequence],
  ['iterable', (value) => value === undefined || isSequence(value)],
  ['callable', (value) => value instanceof Callable],
  ['odd', (value) => integerArgument('odd', value) % 2 !== 0],
  ['even', (value) => integerArgument('even', value) % 2 === 0],
  ['lower', (value) => value instanceof Text && isCased(value) && value.value === value.value.toLowerCase()],
  ['upper', (value) => value instanceof Text && isCased(value) && value.value === value.value.toUpperCase()],
  ['eq', (value, args, budget) => areEqual(value, args.positional[0], budget)],
  ['equalto', (value, args, budget) => areEqual(value, args.positional[0], budget)],
  ['ne', (value, args, budget) => !areEqual(value, args.positional[0], budget)],
  ['in', (value, args, budget) => contains(args.positional[0], value, budget)],
  ['truthy', (value) => isTruthy(value)],
]);

function isSequence(value: Value): boolean {
  return value instanceof Text || value instanceof Dictionary || itemsOf(value) !== undefined;
}

/** Tells whether a text has letters that have cases. */
function isCased({ value }: Text): boolean {
  return value.toLowerCase() !== value.toUpperCase();
}

/**
 * Tells whether a container has a value, as Python's `in` does.
 *
 * @throws TypeError when it is no container
 */
export function contains(container: Value, value: Value, budget: Budget): boolean {
  if (container instanceof Text) {
    const { value: wanted } = textArgument('in', value);
    budget.search(container.length, wanted.length);
    return container.value.includes(wanted);
  }
  if (container instanceof Dictionary) return container.has(value);
  return iterate(container, budget).some((item) => areEqual(item, value, budget));
}
