import { integerArgument, textArgument } from './arguments.ts';
import type { Budget } from './budget.ts';
import {
  areEqual,
  Callable,
  isMap,
  isTruthy,
  itemsOf,
  iterate,
  typeName,
  type CallArguments,
  type Value,
} from './values.ts';

/** What stands behind `is`, and what `select` takes by its name. */
export type Test = (value: Value, args: CallArguments, budget: Budget) => boolean;

export const tests: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (value) => value !== undefined],
  ['undefined', (value) => value === undefined],
  ['none', (value) => value === null],
  ['boolean', (value) => typeof value === 'boolean'],
  ['true', (value) => value === true],
  ['false', (value) => value === false],
  ['string', (value) => typeof value === 'string'],
  ['integer', (value) => typeof value === 'number'],
  ['float', (value) => typeName(value) === 'float'],
  ['number', (value) => ['int', 'float', 'bool'].includes(typeName(value))],
  ['mapping', (value) => isMap(value)],
  ['sequence', (value) => typeof value === 'string' || isMap(value) || itemsOf(value) !== undefined],
  [
    'iterable',
    (value) => value === undefined || typeof value === 'string' || isMap(value) || itemsOf(value) !== undefined,
  ],
  ['callable', (value) => value instanceof Callable],
  ['odd', (value) => integerArgument('odd', value) % 2 !== 0],
  ['even', (value) => integerArgument('even', value) % 2 === 0],
  ['lower', (value) => typeof value === 'string' && value === value.toLowerCase() && value !== value.toUpperCase()],
  ['upper', (value) => typeof value === 'string' && value === value.toUpperCase() && value !== value.toLowerCase()],
  ['eq', (value, args, budget) => areEqual(value, args.positional[0], budget)],
  ['equalto', (value, args, budget) => areEqual(value, args.positional[0], budget)],
  ['ne', (value, args, budget) => !areEqual(value, args.positional[0], budget)],
  ['in', (value, args, budget) => contains(args.positional[0], value, budget)],
  ['truthy', (value) => isTruthy(value)],
]);

/** Python's `in`. */
export function contains(container: Value, value: Value, budget: Budget): boolean {
  if (typeof container === 'string') {
    const wanted = textArgument('in', value);
    budget.search(container.length, wanted.length);
    return container.includes(wanted);
  }
  if (isMap(container)) return container.has(value);
  return iterate(container, budget).some((item) => areEqual(item, value, budget));
}
