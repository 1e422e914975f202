import type { Grammar, GrammarNode } from '../../packages/node/src/engine/json-schema/grammar/node.ts';

/** A node that is being read, the progress, and the frame that follows. Equal ones are the same object. */
interface Frame {
  readonly node: GrammarNode;
  /** Number of parts or repetitions that were read; of a text, its characters. */
  readonly done: number;
  readonly next: Frame | undefined;
  readonly before: Map<GrammarNode, Map<number, Frame>>;
}

/**
 * A recognizer of the texts that a grammar derives, which follows all ways to derive them at once. Independent of
 * llama.cpp.
 */
export class Recognizer {
  readonly #grammar: Grammar;
  readonly #bottom: Map<GrammarNode, Map<number, Frame>> = new Map();

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
  }

  accepts(input: string): boolean {
    let states = new Set<Frame | undefined>();
    this.#close(this.#frame({ type: 'rule', name: 'root' }, 0, undefined), states, new Set());
    for (const character of input) {
      const following = new Set<Frame | undefined>();
      const visited = new Set<Frame>();
      for (const state of states) if (state !== undefined) this.#read(state, character, following, visited);
      states = following;
      if (states.size === 0) return false;
    }
    return states.has(undefined);
  }

  #read(state: Frame, character: string, into: Set<Frame | undefined>, visited: Set<Frame>): void {
    const { node, done, next } = state;
    const code = character.codePointAt(0) ?? -1;
    if (node.type === 'characters' && node.ranges.some(([first, last]) => code >= first && code <= last)) {
      this.#close(next, into, visited);
    }
    if (node.type !== 'text' || !node.text.startsWith(character, done)) return;
    const read = done + character.length;
    if (read === node.text.length) this.#close(next, into, visited);
    else into.add(this.#frame(node, read, next));
  }

  /** Adds the places where a character is read next; undefined stands for the end. */
  #close(start: Frame | undefined, into: Set<Frame | undefined>, visited: Set<Frame>): void {
    const queue = [start];
    while (queue.length > 0) {
      const frame = queue.pop();
      if (frame === undefined) {
        into.add(undefined);
        continue;
      }
      if (visited.has(frame)) continue;
      visited.add(frame);
      const { node, done, next } = frame;
      const isRead = (node.type === 'text' && node.text !== '') || node.type === 'characters';
      if (isRead) into.add(frame);
      else queue.push(...this.#inside(node, done, next));
    }
  }

  #inside(node: GrammarNode, done: number, next: Frame | undefined): (Frame | undefined)[] {
    switch (node.type) {
      case 'rule': {
        const body = this.#grammar.get(node.name);
        if (body === undefined) throw new Error(`there is no rule ${node.name}`);
        return [this.#frame(body, 0, next)];
      }
      case 'sequence': {
        const part = node.parts[done];
        if (part === undefined) return [next];
        const isLast = done === node.parts.length - 1;
        return [this.#frame(part, 0, isLast ? next : this.#frame(node, done + 1, next))];
      }
      case 'choice':
        return node.alternatives.map((alternative) => this.#frame(alternative, 0, next));
      case 'repeat': {
        const again = node.most === Infinity ? Math.min(done + 1, node.least) : done + 1;
        const more = done < node.most ? [this.#frame(node.of, 0, this.#frame(node, again, next))] : [];
        return done >= node.least ? [...more, next] : more;
      }
      case 'text':
        return [next];
      default:
        return [];
    }
  }

  #frame(node: GrammarNode, done: number, next: Frame | undefined): Frame {
    const known = next?.before ?? this.#bottom;
    const byDone = known.get(node) ?? new Map<number, Frame>();
    known.set(node, byDone);
    const frame = byDone.get(done) ?? { node, done, next, before: new Map() };
    byDone.set(done, frame);
    return frame;
  }
}
