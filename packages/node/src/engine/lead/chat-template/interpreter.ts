import { integerArgument } from './arguments.ts';
import { BoundedText, type Budget } from './budget.ts';
import { findFilter } from './filters.ts';
import { elementAt, findMethod } from './methods.ts';
import { strftime } from './strftime.ts';
import { contains, tests } from './tests.ts';
import { repeat } from './text-operations.ts';
import { said, Text, written } from './text.ts';
import {
  lineOf,
  type BinaryNode,
  type Block,
  type CallBlock,
  type CallNode,
  type FilterName,
  type ForNode,
  type Identifier,
  type KeywordArgument,
  type MacroNode,
  type MemberNode,
  type Node,
  type SliceNode,
  type TupleLiteral,
} from './syntax-tree.ts';
import {
  areEqual,
  Callable,
  charactersOf,
  compare,
  Dictionary,
  Float,
  hasSurrogates,
  isList,
  isTruthy,
  itemsOf,
  iterate,
  Loop,
  Namespace,
  numberOf,
  toText,
  Tuple,
  typeName,
  type CallArguments,
  type Value,
} from './values.ts';

/** The error of a template that refuses its values, with words of its own (`raise_exception`). */
export class RaisedByTemplate extends Error {}

/** Variables of a block and of those around it. */
class Scope {
  readonly #variables = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  get(name: string): Value {
    return this.#variables.has(name) ? this.#variables.get(name) : this.#outer?.get(name);
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}

/** The way in which a block was left: at its end, or to continue its loop, or to leave that. */
type Exit = 'end' | 'continue' | 'break';

/**
 * An interpreter that renders a template as Python's Jinja does: the same text for the same values, with Python's sense
 * of emptiness. Chat templates are written against Python.
 */
export class Interpreter {
  readonly #budget: Budget;
  readonly #now: Date;
  #line = 1;

  constructor(budget: Budget, { now }: { now: Date }) {
    this.#budget = budget;
    this.#now = now;
  }

  /** Line of the template that is evaluated, or where it failed. */
  get line(): number {
    return this.#line;
  }

  /**
   * Renders a template.
   *
   * @throws RaisedByTemplate when the template refuses its values; BudgetExceeded; TypeError and RangeError where
   * Python would fail, too
   */
  render(template: Block, variables: Readonly<Record<string, Value>>): Text {
    const globals = new Scope();
    for (const [name, value] of Object.entries({ ...this.#globals(), ...variables })) globals.set(name, value);
    return this.#blockText(template.body, new Scope(globals));
  }

  #globals(): Record<string, Value> {
    return {
      true: true,
      True: true,
      false: false,
      False: false,
      none: null,
      None: null,
      range: new Callable('range', (args) => this.#range(args)),
      namespace: new Callable('namespace', ({ positional, named }) => {
        const initial = positional.flatMap((value) => (value instanceof Dictionary ? value.entries() : []));
        const entries = initial.map(([key, value]) => [toText(key, this.#budget).value, value] as const);
        return new Namespace(new Map([...entries, ...named]));
      }),
      dict: new Callable('dict', ({ positional: [initial], named }) => {
        return new Dictionary([...(initial instanceof Dictionary ? initial.entries() : []), ...entriesOf(named)]);
      }),
      raise_exception: new Callable('raise_exception', ({ positional: [message] }) => {
        throw new RaisedByTemplate(toText(message, this.#budget).value);
      }),
      strftime_now: new Callable('strftime_now', ({ positional: [format] }) =>
        toText(format, this.#budget).computed((value) => strftime(this.#now, value)),
      ),
    };
  }

  #range({ positional }: CallArguments): Value {
    const [first = 0, second, step = 1] = positional.map((value) => integerArgument('range', value));
    const [from, to] = second === undefined ? [0, first] : [first, second];
    if (step === 0) throw new TypeError('range() takes no step of 0');
    const length = Math.max(0, Math.ceil((to - from) / step));
    this.#budget.newList(length);
    return Array.from({ length }, (_, index) => from + index * step);
  }

  #blockText(body: readonly Node[], scope: Scope): Text {
    const text = new BoundedText(this.#budget);
    this.#run(body, scope, text);
    return text.value;
  }

  /** Runs statements, whose text goes to `text`. */
  #run(body: readonly Node[], scope: Scope, text: BoundedText): Exit {
    for (const node of body) {
      const exit = this.#runStatement(node, scope, text);
      if (exit !== 'end') return exit;
    }
    return 'end';
  }

  #runStatement(node: Node, scope: Scope, text: BoundedText): Exit {
    this.#budget.step();
    switch (node.type) {
      case 'Comment':
        this.#line = lineOf(node.value) ?? this.#line;
        return 'end';
      case 'If':
        return this.#run(isTruthy(this.#evaluate(node.test, scope)) ? node.body : node.alternate, scope, text);
      case 'For':
        return this.#runFor(node, scope, text);
      case 'Break':
        return 'break';
      case 'Continue':
        return 'continue';
      case 'Set': {
        const value =
          node.value === null ? this.#blockText(node.body, new Scope(scope)) : this.#evaluate(node.value, scope);
        this.#assign(node.assignee, value, scope);
        return 'end';
      }
      case 'Macro':
        scope.set(node.name.value, this.#macro(node, scope));
        return 'end';
      case 'CallStatement':
        text.append(this.#callBlock(node, scope));
        return 'end';
      case 'FilterStatement':
        text.append(
          toText(this.#filter(this.#blockText(node.body, new Scope(scope)), node.filter, scope), this.#budget),
        );
        return 'end';
      default:
        text.append(toText(this.#evaluate(node, scope), this.#budget));
        return 'end';
    }
  }

  #runFor({ loopvar, iterable, body, defaultBlock }: ForNode, scope: Scope, text: BoundedText): Exit {
    const [source, test] = iterable.type === 'SelectExpression' ? [iterable.lhs, iterable.test] : [iterable, undefined];
    const all = iterate(this.#evaluate(source, scope), this.#budget);
    this.#budget.list(all.length);
    const items =
      test === undefined
        ? all
        : all.filter((item) => {
            const inner = new Scope(scope);
            this.#assign(loopvar, item, inner);
            return isTruthy(this.#evaluate(test, inner));
          });
    for (const [index, item] of items.entries()) {
      this.#budget.step(loopSteps);
      const inner = new Scope(scope);
      this.#assign(loopvar, item, inner);
      inner.set('loop', new Loop(items, index));
      if (this.#run(body, inner, text) === 'break') break;
    }
    return items.length === 0 ? this.#run(defaultBlock, new Scope(scope), text) : 'end';
  }

  #assign(target: Node, value: Value, scope: Scope): void {
    if (target.type === 'Identifier') {
      scope.set(target.value, value);
    } else if (target.type === 'TupleLiteral') {
      this.#unpack(target, value, scope);
    } else if (target.type === 'MemberExpression') {
      const object = this.#evaluate(target.object, scope);
      if (!(object instanceof Namespace)) throw new TypeError('only attributes of a namespace can be set');
      object.attributes.set(toText(this.#propertyOf(target, scope), this.#budget).value, value);
    } else {
      throw new TypeError(`a ${target.type} can't be assigned to`);
    }
  }

  #unpack({ value: targets }: TupleLiteral, value: Value, scope: Scope): void {
    const items = iterate(value, this.#budget);
    if (items.length !== targets.length) {
      throw new TypeError(`${targets.length} values expected to unpack, got ${items.length}`);
    }
    for (const [index, target] of targets.entries()) this.#assign(target, items[index], scope);
  }

  #macro({ name, args, body }: MacroNode, scope: Scope, caller?: Callable): Callable {
    return new Callable(name.value, (given) => {
      const inner = new Scope(scope);
      const { named, positional } = given;
      const withCaller = caller ?? named.get('caller');
      if (withCaller !== undefined) inner.set('caller', withCaller);
      this.#bindParameters(args, { positional, named: without(named, 'caller') }, inner);
      return this.#budget.nested(() => this.#blockText(body, inner));
    });
  }

  /** Binds parameters. They see those before them and, in their defaults, the block that the macro stands in. */
  #bindParameters(
    parameters: readonly (Identifier | KeywordArgument)[],
    { positional, named }: CallArguments,
    scope: Scope,
  ): void {
    const nameOf = (parameter: Identifier | KeywordArgument) =>
      parameter.type === 'Identifier' ? parameter.value : parameter.key.value;
    for (const [index, parameter] of parameters.entries()) {
      const name = nameOf(parameter);
      if (index < positional.length) scope.set(name, positional[index]);
      else if (named.has(name)) scope.set(name, named.get(name));
      else scope.set(name, parameter.type === 'Identifier' ? undefined : this.#evaluate(parameter.value, scope));
    }
    scope.set('varargs', new Tuple(positional.slice(parameters.length)));
    const names = parameters.map(nameOf);
    scope.set('kwargs', new Dictionary(entriesOf(named).filter(([{ value }]) => !names.includes(value))));
  }

  #callBlock({ call, callerArgs, body }: CallBlock, scope: Scope): Text {
    const caller = this.#macro(
      { type: 'Macro', name: { type: 'Identifier', value: 'caller' }, args: callerArgs ?? [], body },
      scope,
    );
    const { positional, named } = this.#argumentsOf(call.args, scope);
    const result = this.#call(call.callee, { positional, named: new Map([...named, ['caller', caller]]) }, scope);
    return toText(result, this.#budget);
  }

  #evaluate(node: Node, scope: Scope): Value {
    this.#budget.step();
    const value = this.#evaluateUnmeasured(node, scope);
    if (value instanceof Text) {
      if (makesValues.has(node.type)) this.#budget.newText(value.length);
      else this.#budget.text(value.length);
    } else if (isList(value) && makesValues.has(node.type)) {
      this.#budget.list(value.length);
    }
    return value;
  }

  #evaluateUnmeasured(node: Node, scope: Scope): Value {
    switch (node.type) {
      case 'IntegerLiteral':
        return node.value;
      case 'StringLiteral':
        return written(node.value);
      case 'FloatLiteral':
        return new Float(node.value);
      case 'ArrayLiteral':
        return node.value.map((item) => this.#evaluate(item, scope));
      case 'TupleLiteral':
        return new Tuple(node.value.map((item) => this.#evaluate(item, scope)));
      case 'ObjectLiteral':
        return new Dictionary(
          [...node.value].map(([key, value]) => [this.#evaluate(key, scope), this.#evaluate(value, scope)] as const),
        );
      case 'Identifier':
        return scope.get(node.value);
      case 'MemberExpression':
        return this.#member(node, scope);
      case 'CallExpression':
        return this.#call(node.callee, this.#argumentsOf(node.args, scope), scope);
      case 'UnaryExpression':
        return this.#unary(node.operator.value, this.#evaluate(node.argument, scope));
      case 'BinaryExpression':
        return this.#binary(node, scope);
      case 'FilterExpression':
        return this.#filter(this.#evaluate(node.operand, scope), node.filter, scope);
      case 'TestExpression':
        return this.#test(node.test.value, this.#evaluate(node.operand, scope)) !== node.negate;
      case 'SelectExpression':
        return isTruthy(this.#evaluate(node.test, scope)) ? this.#evaluate(node.lhs, scope) : undefined;
      case 'Ternary':
        return this.#evaluate(isTruthy(this.#evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
      default:
        throw new TypeError(`a ${node.type} has no value`);
    }
  }

  #member(node: MemberNode, scope: Scope): Value {
    const object = this.#evaluate(node.object, scope);
    if (object === undefined) throw new TypeError(`${nameOf(node.object)} is undefined`);
    if (node.computed && node.property.type === 'SliceExpression') return this.#slice(object, node.property, scope);
    const property = this.#propertyOf(node, scope);
    const name = property instanceof Text ? property.value : undefined;
    if (object instanceof Dictionary) {
      // `x.items` is the method unless there is none; `x['items']` is the entry unless there is none.
      const method = name === undefined ? undefined : findMethod(object, name, this.#budget);
      if (node.computed) return object.has(property) ? object.get(property) : method;
      return method ?? object.get(property);
    }
    if (object instanceof Namespace) return object.attributes.get(toText(property, this.#budget).value);
    if (object instanceof Loop) return name === undefined ? undefined : object.attribute(name);
    if (name !== undefined) return findMethod(object, name, this.#budget);
    const items = object instanceof Text ? object : itemsOf(object);
    return items === undefined ? undefined : elementAt(items, integerArgument('index', property), this.#budget);
  }

  #propertyOf({ property, computed }: MemberNode, scope: Scope): Value {
    return !computed && property.type === 'Identifier' ? written(property.value) : this.#evaluate(property, scope);
  }

  #slice(object: Value, { start, stop, step }: SliceNode, scope: Scope): Value {
    const bound = (node: Node | undefined) => {
      const value = node === undefined ? null : this.#evaluate(node, scope);
      return value === null ? undefined : integerArgument('slice', value);
    };
    const bounds = { start: bound(start), stop: bound(stop), step: bound(step) ?? 1 };
    if (object instanceof Text) {
      this.#budget.newText(object.length);
      if (bounds.step === 1 && !hasSurrogates(object.value)) return object.slice(bounds.start, bounds.stop);
      return Text.join(slice(charactersOf(object, this.#budget), bounds));
    }
    const items = itemsOf(object);
    if (items === undefined) throw new TypeError(`'${typeName(object)}' object can't be sliced`);
    const sliced = slice(items, bounds);
    return object instanceof Tuple ? new Tuple(sliced) : sliced;
  }

  #call(callee: Node, args: CallArguments, scope: Scope): Value {
    const called = this.#evaluate(callee, scope);
    if (called instanceof Callable) return called.call(args);
    throw new TypeError(
      called === undefined ? `${nameOf(callee)} is undefined` : `'${typeName(called)}' object is not callable`,
    );
  }

  #argumentsOf(nodes: CallNode['args'], scope: Scope): CallArguments {
    const positional: Value[] = [];
    const named = new Map<string, Value>();
    for (const node of nodes) {
      if (node.type === 'KeywordArgumentExpression') {
        named.set(node.key.value, this.#evaluate(node.value, scope));
      } else if (node.type === 'KeywordSpreadExpression') {
        const value = this.#evaluate(node.argument, scope);
        if (!(value instanceof Dictionary)) throw new TypeError(`** takes a dictionary, got ${typeName(value)}`);
        for (const [key, item] of value.entries()) named.set(toText(key, this.#budget).value, item);
      } else if (node.type === 'SpreadExpression') {
        const items = iterate(this.#evaluate(node.argument, scope), this.#budget);
        this.#budget.newList(items.length);
        for (const item of items) positional.push(item);
      } else {
        positional.push(this.#evaluate(node, scope));
      }
    }
    return { positional, named };
  }

  #filter(value: Value, filter: FilterName, scope: Scope): Value {
    if (filter.type === 'Identifier') return findFilter(filter.value)(value, noArguments, this.#budget);
    if (filter.callee.type !== 'Identifier') throw new TypeError('a filter needs a name');
    return findFilter(filter.callee.value)(value, this.#argumentsOf(filter.args, scope), this.#budget);
  }

  #test(name: string, value: Value): boolean {
    const test = tests.get(name);
    if (test === undefined) throw new TypeError(`no test named '${name}'`);
    return test(value, noArguments, this.#budget);
  }

  #unary(operator: string, value: Value): Value {
    if (operator === 'not') return !isTruthy(value);
    const number = numberOf(value);
    if (number === undefined) throw new TypeError(`${operator} takes a number, got ${typeName(value)}`);
    const signed = operator === '-' ? -number : number;
    return value instanceof Float ? new Float(signed) : signed;
  }

  #binary({ operator: { value: operator }, left: leftNode, right: rightNode }: BinaryNode, scope: Scope): Value {
    const left = this.#evaluate(leftNode, scope);
    if (operator === 'and') return isTruthy(left) ? this.#evaluate(rightNode, scope) : left;
    if (operator === 'or') return isTruthy(left) ? left : this.#evaluate(rightNode, scope);
    const right = this.#evaluate(rightNode, scope);
    switch (operator) {
      case '==':
        return areEqual(left, right, this.#budget);
      case '!=':
        return !areEqual(left, right, this.#budget);
      case '<':
        return compare(left, right, this.#budget) < 0;
      case '<=':
        return compare(left, right, this.#budget) <= 0;
      case '>':
        return compare(left, right, this.#budget) > 0;
      case '>=':
        return compare(left, right, this.#budget) >= 0;
      case 'in':
        return contains(right, left, this.#budget);
      case 'not in':
        return !contains(right, left, this.#budget);
      case '~':
        return toText(left, this.#budget).plus(toText(right, this.#budget));
      default:
        for (const [value, node] of [
          [left, leftNode],
          [right, rightNode],
        ] as const) {
          if (value === undefined) throw new TypeError(`${nameOf(node)} is undefined`);
        }
        return this.#arithmetic(operator, left, right);
    }
  }

  #arithmetic(operator: string, left: Value, right: Value): Value {
    const numbers = [numberOf(left), numberOf(right)] as const;
    if (numbers[0] !== undefined && numbers[1] !== undefined) {
      const result = calculate(operator, numbers[0], numbers[1]);
      const isFloat = left instanceof Float || right instanceof Float || operator === '/' || !Number.isInteger(result);
      return isFloat ? new Float(result) : result;
    }
    if (operator === '+') {
      if (left instanceof Text && right instanceof Text) return left.plus(right);
      const lists = [itemsOf(left), itemsOf(right)] as const;
      if (lists[0] !== undefined && lists[1] !== undefined && isList(left) === isList(right)) {
        const joined = [...lists[0], ...lists[1]];
        return isList(left) ? joined : new Tuple(joined);
      }
    }
    if (operator === '*') {
      const [sequence, times] = typeof right === 'number' ? [left, right] : [right, left];
      if (sequence instanceof Text && typeof times === 'number') return repeat(sequence, times, this.#budget);
      if (isList(sequence) && typeof times === 'number') {
        this.#budget.newList(sequence.length * times);
        return Array.from({ length: Math.max(0, times) }, () => sequence).flat();
      }
    }
    throw new TypeError(`${operator} can't take ${typeName(left)} and ${typeName(right)}`);
  }
}

/** Steps of one turn of a loop, beside those of its body: variables of its own are made. */
const loopSteps = 2;
const noArguments: CallArguments = { positional: [], named: new Map() };
/** Expressions whose value is seldom an existing one. */
const makesValues: ReadonlySet<Node['type']> = new Set(['CallExpression', 'FilterExpression', 'BinaryExpression']);

function without(named: ReadonlyMap<string, Value>, name: string): ReadonlyMap<string, Value> {
  return new Map([...named].filter(([key]) => key !== name));
}

/** Returns arguments with their names, which may come from a message (`**`) and count as such. */
function entriesOf(named: ReadonlyMap<string, Value>): (readonly [name: Text, value: Value])[] {
  return [...named].map(([name, value]) => [said(name), value] as const);
}

/** Returns a template's name for a value, for messages. */
function nameOf(node: Node): string {
  switch (node.type) {
    case 'Identifier':
      return `'${node.value}'`;
    case 'MemberExpression':
      return node.property.type === 'Identifier' || node.property.type === 'StringLiteral'
        ? `'${node.property.value}'`
        : 'an element';
    default:
      return 'a value';
  }
}

function slice<Item>(
  items: readonly Item[],
  bounds: { start: number | undefined; stop: number | undefined; step: number },
): Item[] {
  const { step } = bounds;
  if (step === 0) throw new TypeError('a slice takes no step of 0');
  if (step === 1) return items.slice(bounds.start, bounds.stop);
  const { length } = items;
  const place = (position: number, least: number, most: number) =>
    Math.min(most, Math.max(least, position < 0 ? position + length : position));
  const [least, most] = step > 0 ? [0, length] : [-1, length - 1];
  const start = bounds.start === undefined ? (step > 0 ? least : most) : place(bounds.start, least, most);
  const stop = bounds.stop === undefined ? (step > 0 ? most : least) : place(bounds.stop, least, most);
  const taken: Item[] = [];
  for (let index = start; step > 0 ? index < stop : index > stop; index += step) {
    taken.push(...items.slice(index, index + 1));
  }
  return taken;
}

/**
 * Calculates with two numbers.
 *
 * @throws TypeError for an unknown operator, and for a division by 0
 */
function calculate(operator: string, left: number, right: number): number {
  if (right === 0 && (operator === '/' || operator === '//' || operator === '%'))
    throw new TypeError('division by zero');
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '//':
      return Math.floor(left / right);
    case '%':
      return left - right * Math.floor(left / right);
    case '**':
      return left ** right;
    default:
      throw new TypeError(`no operator ${operator}`);
  }
}
