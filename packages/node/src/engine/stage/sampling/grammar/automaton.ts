import { invariant } from '@skein/protocol';

import { invalidGrammar, type Expression, type Grammar } from './parse-grammar.ts';
import { recursiveRules } from './recursive-rules.ts';
import { normalize, utf8Sequences, type ByteRange } from './utf8-sequences.ts';

/** Marks of edges that take no byte, in place of a byte. */
export const edgeKinds = Object.freeze({ epsilon: -1, call: -2 });

/** Most nodes. They bound the memory of an automaton to some 10 MB, and the time to build it to a few tenths of a second. */
const mostNodes = 100_000;
const mostEdges = 200_000;
/** Most parts that are built, including empty ones, such as a text without characters. */
const mostParts = 300_000;
/** Most nodes of a rule that is copied to its uses; a larger one is called by name. */
const mostCopiedNodes = 200;
/** Deepest chain of rules that are copied into one another. */
const deepestCopies = 32;

/**
 * A grammar as a recursive transition network over bytes. Each rule that is called is a nondeterministic automaton of
 * its own, with an entry and a final node; an edge takes a byte of a range, or nothing, or calls a rule and goes on at
 * its target. Small rules that are not recursive are copied to their uses, so that most grammars need no calls at all.
 *
 * Nodes and edges are numbers; the edges of a node form a list.
 */
export class Automaton {
  /** First edge of each node; -1 for none. */
  readonly firstEdge: Int32Array;
  /** Next edge of the same node; -1 after the last. */
  readonly nextEdge: Int32Array;
  /** First byte that an edge takes, or one of {@link edgeKinds}. */
  readonly low: Int16Array;
  /** Last byte that an edge takes; for a call, the rule. */
  readonly high: Int16Array;
  readonly target: Int32Array;
  /** Entry node of each called rule. */
  readonly entries: Int32Array;
  /** The called rule whose final node this is; -1 for all others. */
  readonly finalOf: Int16Array;
  /** The rule from which all texts derive. */
  readonly root: number;
  /** Class of each byte: bytes of one class are taken by the same edges. */
  readonly byteClass: Uint8Array;
  readonly byteClasses: number;

  constructor(grammar: Grammar) {
    const draft = new Draft();
    this.root = new Compiler(grammar, draft).compile();
    this.firstEdge = draft.firstEdge.all.slice();
    this.nextEdge = draft.nextEdge.all.slice();
    this.low = Int16Array.from(draft.low.all);
    this.high = Int16Array.from(draft.high.all);
    this.target = draft.target.all.slice();
    this.entries = Int32Array.from(draft.entries);
    this.finalOf = Int16Array.from(draft.finalOf.all);
    [this.byteClass, this.byteClasses] = this.#classify();
  }

  get nodes(): number {
    return this.firstEdge.length;
  }

  get bytes(): number {
    const arrays = [this.firstEdge, this.nextEdge, this.low, this.high, this.target, this.entries, this.finalOf];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  #classify(): [Uint8Array, number] {
    const begins = new Uint8Array(257);
    for (const [edge, low] of this.low.entries()) {
      if (low < 0) continue;
      begins[low] = 1;
      begins[invariant(this.high[edge], 'an edge without an end') + 1] = 1;
    }
    const classes = new Uint8Array(256);
    let current = 0;
    for (let byte = 0; byte < 256; byte += 1) {
      if (byte > 0 && begins[byte] === 1) current += 1;
      classes[byte] = current;
    }
    return [classes, current + 1];
  }
}

/** An automaton that is being built. */
class Draft {
  readonly firstEdge = new Numbers();
  readonly nextEdge = new Numbers();
  readonly low = new Numbers();
  readonly high = new Numbers();
  readonly target = new Numbers();
  readonly finalOf = new Numbers();
  /** Entries by rule: rules are called in one order, and built in another. */
  readonly entries: number[] = [];

  addNode(rule = -1): number {
    if (this.firstEdge.length >= mostNodes) throw tooLarge();
    this.finalOf.push(rule);
    return this.firstEdge.push(-1);
  }

  addEdge(from: number, edge: { readonly low: number; readonly high?: number; readonly target: number }): void {
    if (this.target.length >= mostEdges) throw tooLarge();
    this.low.push(edge.low);
    this.high.push(edge.high ?? edge.low);
    this.nextEdge.push(this.firstEdge.at(from));
    this.firstEdge.set(from, this.target.push(edge.target));
  }
}

/**
 * A growing list of numbers of 32 bits. JavaScript's own takes twice the memory, and leaves it to V8 to collect as it
 * grows.
 */
class Numbers {
  #values = new Int32Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Returns the index of the new number. */
  push(value: number): number {
    if (this.#length === this.#values.length) {
      const longer = new Int32Array(2 * this.#length);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.#length] = value;
    this.#length += 1;
    return this.#length - 1;
  }

  at(index: number): number {
    return invariant(this.#values[index], 'an index of the list');
  }

  set(index: number, value: number): void {
    this.#values[index] = value;
  }

  get all(): Int32Array {
    return this.#values.subarray(0, this.#length);
  }
}

/** A compiler that builds from the end: it makes each part for the node at which the text goes on after it. */
class Compiler {
  readonly #grammar: Grammar;
  readonly #draft: Draft;
  /** Numbers of the rules that are called. */
  readonly #called = new Map<string, number>();
  readonly #waiting: string[] = [];
  readonly #recursive: ReadonlySet<string>;
  /** Nodes that a copy of a rule takes; Infinity for rules that are too large. */
  readonly #sizes = new Map<string, number>();
  /** UTF-8 of character classes, by their ranges; and by their expressions, which a repetition builds many times. */
  readonly #sequences = new Map<string | Expression, ByteRange[][]>();
  #copies = 0;
  #parts = 0;

  constructor(grammar: Grammar, draft: Draft) {
    this.#grammar = grammar;
    this.#draft = draft;
    this.#recursive = recursiveRules(grammar);
  }

  /** Compiles the grammar and returns the number of its root. */
  compile(): number {
    const root = this.#call('root');
    for (let name = this.#waiting.pop(); name !== undefined; name = this.#waiting.pop()) {
      const rule = this.#call(name);
      const final = this.#draft.addNode(rule);
      this.#draft.entries[rule] = this.#build(this.#expressionOf(name), final);
    }
    return root;
  }

  #call(name: string): number {
    const known = this.#called.get(name);
    if (known !== undefined) return known;
    const rule = this.#called.size;
    this.#called.set(name, rule);
    this.#waiting.push(name);
    return rule;
  }

  #expressionOf(name: string): Expression {
    return invariant(this.#grammar.get(name), `no rule ${name}`);
  }

  /** Builds an expression in front of `next`, and returns the node from which the expression's texts lead there. */
  #build(expression: Expression, next: number): number {
    this.#parts += 1;
    if (this.#parts > mostParts) throw tooLarge();
    switch (expression.kind) {
      case 'text':
        return this.#buildText(expression.text, next);
      case 'character':
        return this.#buildCharacter(expression, next);
      case 'sequence':
        return expression.parts.reduceRight((after, part) => this.#build(part, after), next);
      case 'choice': {
        const node = this.#draft.addNode();
        for (const option of expression.options) this.#addEpsilon(node, this.#build(option, next));
        return node;
      }
      case 'repetition':
        return this.#buildRepetition(expression, next);
      case 'rule':
        return this.#buildRule(expression.name, next);
    }
  }

  #buildText(text: string, next: number): number {
    let node = next;
    for (const byte of Buffer.from(text).toReversed()) {
      const before = this.#draft.addNode();
      this.#draft.addEdge(before, { low: byte, target: node });
      node = before;
    }
    return node;
  }

  #buildCharacter(expression: Extract<Expression, { kind: 'character' }>, next: number): number {
    const node = this.#draft.addNode();
    // Most later bytes of a class's characters are the same few ranges.
    const shared = new Map<number, number>();
    for (const [first, ...rest] of this.#sequencesOf(expression)) {
      if (first === undefined) continue;
      const [low, high] = first;
      const target = rest.reduceRight((after, range) => this.#sharedByte(range, after, shared), next);
      this.#draft.addEdge(node, { low, high, target });
    }
    return node;
  }

  #sequencesOf(expression: Extract<Expression, { kind: 'character' }>): ByteRange[][] {
    const known = this.#sequences.get(expression);
    if (known !== undefined) return known;
    const { ranges, isNegated } = expression;
    const key = `${isNegated ? '^' : ''}${ranges.join()}`;
    const sequences = this.#sequences.get(key) ?? utf8Sequences(normalize(ranges, isNegated));
    this.#sequences.set(key, sequences);
    this.#sequences.set(expression, sequences);
    return sequences;
  }

  #sharedByte([low, high]: ByteRange, target: number, shared: Map<number, number>): number {
    const key = (target * 256 + low) * 256 + high;
    const known = shared.get(key);
    if (known !== undefined) return known;
    const node = this.#draft.addNode();
    this.#draft.addEdge(node, { low, high, target });
    shared.set(key, node);
    return node;
  }

  #buildRepetition({ of, least, most }: Extract<Expression, { kind: 'repetition' }>, next: number): number {
    let node = next;
    if (most === Infinity) {
      node = this.#draft.addNode();
      this.#addEpsilon(node, this.#build(of, node));
      this.#addEpsilon(node, next);
    } else {
      for (let optional = least; optional < most; optional += 1) {
        const before = this.#draft.addNode();
        this.#addEpsilon(before, this.#build(of, node));
        this.#addEpsilon(before, next);
        node = before;
      }
    }
    for (let times = 0; times < least; times += 1) node = this.#build(of, node);
    return node;
  }

  #buildRule(name: string, next: number): number {
    if (!this.#recursive.has(name) && this.#copies < deepestCopies && this.#sizeOf(name, 0) <= mostCopiedNodes) {
      this.#copies += 1;
      const node = this.#build(this.#expressionOf(name), next);
      this.#copies -= 1;
      return node;
    }
    const node = this.#draft.addNode();
    this.#draft.addEdge(node, { low: edgeKinds.call, high: this.#call(name), target: next });
    return node;
  }

  #sizeOf(name: string, depth: number): number {
    if (this.#recursive.has(name)) return 1;
    const known = this.#sizes.get(name);
    if (known !== undefined) return known;
    const size = depth < deepestCopies ? this.#sizeOfExpression(this.#expressionOf(name), depth + 1) : Infinity;
    this.#sizes.set(name, size);
    return size;
  }

  #sizeOfExpression(expression: Expression, depth: number): number {
    switch (expression.kind) {
      case 'text':
        return Buffer.byteLength(expression.text);
      case 'character':
        return 1;
      case 'rule':
        return this.#sizeOf(expression.name, depth);
      case 'repetition': {
        const { of, least, most } = expression;
        return Math.max(1, most === Infinity ? least + 1 : most) * (1 + this.#sizeOfExpression(of, depth));
      }
      case 'sequence':
        return sum(expression.parts, (part) => this.#sizeOfExpression(part, depth));
      case 'choice':
        return 1 + sum(expression.options, (option) => this.#sizeOfExpression(option, depth));
    }
  }

  #addEpsilon(from: number, target: number): void {
    this.#draft.addEdge(from, { low: edgeKinds.epsilon, target });
  }
}

/** Adds sizes up, and stops once the sum is too large. */
function sum(expressions: readonly Expression[], sizeOf: (expression: Expression) => number): number {
  let total = 0;
  for (const expression of expressions) {
    total += sizeOf(expression);
    if (total > mostCopiedNodes) return Infinity;
  }
  return total;
}

function tooLarge(): Error {
  return invalidGrammar(
    'it is too large once its repetitions are written out: some ten thousand characters may be counted one by one; use * or + for long texts',
  );
}
