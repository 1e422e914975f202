import { invariant } from '@skein/protocol';

import type { Matcher, MatchState } from './matcher.ts';
import type { WorkBudget } from './work-budget.ts';

export interface VocabularySource {
  readonly size: number;
  /** Returns the bytes of a token's text; none for control tokens. */
  piece(token: number): Uint8Array;
  isEndOfGeneration(token: number): boolean;
}

/**
 * The texts of a vocabulary's tokens as a tree, in which tokens that begin alike share a path. Takes about 15 bytes a
 * node.
 */
export class Vocabulary {
  readonly #source: VocabularySource;
  /**
   * Last byte of each node's text, in the order in which the tree is walked. Beside it lie the text's length, and the
   * node after all longer ones.
   */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #ends: Int32Array;
  /** First token with each node's text; -1 for none. Beside it lies, by token, the next one with the same text. */
  readonly #firstToken: Int32Array;
  readonly #nextToken: Int32Array;
  readonly #endTokens: number[] = [];

  constructor(source: VocabularySource) {
    this.#source = source;
    const { texts, order } = this.#collect();
    const nodes = countNodes(texts, order);
    this.#bytes = new Uint8Array(nodes);
    this.#depths = new Uint16Array(nodes);
    this.#ends = new Int32Array(nodes);
    this.#firstToken = new Int32Array(nodes).fill(-1);
    this.#nextToken = new Int32Array(source.size).fill(-1);
    this.#build(texts, order);
  }

  /**
   * Returns the state after a token; undefined where the grammar does not allow it. An end of generation leaves the
   * state as it is.
   */
  after(matcher: Matcher, state: MatchState, token: number, budget: WorkBudget): MatchState | undefined {
    if (this.#source.isEndOfGeneration(token)) return state.accepts ? state : undefined;
    const piece = this.#source.piece(token);
    return piece.length === 0 ? undefined : matcher.advance(state, piece, budget);
  }

  /** Returns for each token whether the grammar allows it next: 1 or 0. */
  allowed(matcher: Matcher, state: MatchState, budget: WorkBudget): Uint8Array {
    const allowed = new Uint8Array(this.#source.size);
    if (state.accepts) for (const token of this.#endTokens) allowed[token] = 1;
    const states: MatchState[] = [state];
    for (let node = 0; node < this.#bytes.length;) {
      const depth = at(this.#depths, node);
      const before = invariant(states[depth - 1], 'a node comes after the shorter texts that it begins with');
      const next = matcher.step(before, at(this.#bytes, node), budget);
      if (next === undefined) {
        node = at(this.#ends, node);
        continue;
      }
      states[depth] = next;
      for (let token = at(this.#firstToken, node); token >= 0; token = at(this.#nextToken, token)) allowed[token] = 1;
      node += 1;
    }
    return allowed;
  }

  /** Collects the texts in one buffer: tens of thousands of small ones would cost more than the tree. */
  #collect(): { readonly texts: Texts; readonly order: Uint32Array } {
    const texts = new Texts();
    const tokens: number[] = [];
    for (let token = 0; token < this.#source.size; token += 1) {
      const isEnd = this.#source.isEndOfGeneration(token);
      if (isEnd) this.#endTokens.push(token);
      const piece = isEnd ? new Uint8Array(0) : this.#source.piece(token);
      texts.add(piece);
      if (piece.length > 0) tokens.push(token);
    }
    return { texts, order: texts.inOrder(tokens) };
  }

  #build(texts: Texts, order: Uint32Array): void {
    const path: number[] = [];
    let node = 0;
    let previous: Uint8Array = new Uint8Array(0);
    const close = (depth: number): void => {
      for (; path.length > depth;) this.#ends[invariant(path.pop(), 'the path is not empty')] = node;
    };
    for (const token of order) {
      const text = texts.of(token);
      const common = commonLength(previous, text);
      close(common);
      for (let depth = common; depth < text.length; depth += 1) {
        this.#bytes[node] = at(text, depth);
        this.#depths[node] = depth + 1;
        path.push(node);
        node += 1;
      }
      const last = invariant(path.at(-1), 'a text that is not empty has a node');
      this.#nextToken[token] = at(this.#firstToken, last);
      this.#firstToken[last] = token;
      previous = text;
    }
    close(0);
  }
}

class Texts {
  readonly #offsets: number[] = [0];
  #buffer = new Uint8Array(65_536);

  add(text: Uint8Array): void {
    const start = invariant(this.#offsets.at(-1), 'there is a first offset');
    const end = start + text.length;
    if (end > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#buffer.length));
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    this.#buffer.set(text, start);
    this.#offsets.push(end);
  }

  of(index: number): Uint8Array {
    return this.#buffer.subarray(this.#offsets[index], this.#offsets[index + 1]);
  }

  /** Returns some of the texts' indices, in the order of their bytes. */
  inOrder(indices: readonly number[]): Uint32Array {
    const buffer = Buffer.from(this.#buffer.buffer);
    const offset = (index: number): number => at(this.#offsets, index);
    const compare = (one: number, other: number): number =>
      buffer.compare(buffer, offset(other), offset(other + 1), offset(one), offset(one + 1));
    return Uint32Array.from(indices).sort(compare);
  }
}

function countNodes(texts: Texts, order: Uint32Array): number {
  let nodes = 0;
  let previous: Uint8Array = new Uint8Array(0);
  for (const token of order) {
    const text = texts.of(token);
    nodes += text.length - commonLength(previous, text);
    previous = text;
  }
  return nodes;
}

function commonLength(one: Uint8Array, other: Uint8Array): number {
  const most = Math.min(one.length, other.length);
  let length = 0;
  while (length < most && one[length] === other[length]) length += 1;
  return length;
}

function at(numbers: { readonly [index: number]: number | undefined }, index: number): number {
  return invariant(numbers[index], 'a node or token that is there');
}
