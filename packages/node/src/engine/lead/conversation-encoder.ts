import type { Text } from './chat-template/text.ts';
import type { MarkToken, Tokenizer } from './tokenizer.ts';

/** A place of a rendered conversation that spells a mark. */
interface Occurrence {
  readonly mark: MarkToken;
  readonly start: number;
  readonly end: number;
}

/** A place at which a text is tokenized in two parts. */
interface Cut {
  readonly mark: undefined;
  readonly start: number;
  readonly end: number;
}

/**
 * A tokenizer of rendered conversations. A mark's text becomes that token where the template wrote all of it; where a
 * message says any of it, it stays text. So no message ends its turn, or begins another's.
 */
export class ConversationEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #finder: MarkFinder;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    this.#finder = new MarkFinder(tokenizer.markTokens());
  }

  /** Returns a conversation's tokens: those that llama.cpp makes of its text, unless a message spells marks. */
  encode(text: Text): readonly number[] {
    const occurrences = this.#finder.find(text.value);
    const { bos } = this.#tokenizer.specialTexts();
    const addSpecial = bos === '' || !text.value.startsWith(bos) || text.isSaid(0, bos.length);
    const isSaid = ({ start, end }: Occurrence): boolean => text.isSaid(start, end);
    if (!occurrences.some(isSaid)) return this.#tokenizer.encode(text.value, { addSpecial, parseSpecial: true });
    // llama.cpp reads some marks in any text; of these no piece holds all.
    const cuts = occurrences
      .filter((occurrence) => isSaid(occurrence) && occurrence.mark.isReadAlways)
      .map(({ start }) => ({ mark: undefined, start: start + 1, end: start + 1 }));
    const marks = withoutOverlaps(occurrences.filter((occurrence) => !isSaid(occurrence)));
    const tokens = this.#encodeApart(text.value, [...marks, ...cuts]);
    const { before, after } = addSpecial ? this.#tokenizer.frame() : { before: [], after: [] };
    return [...before, ...tokens, ...after];
  }

  /** Tokenizes the texts between breaks as llama.cpp does, each on its own, but reads no marks in them. */
  #encodeApart(text: string, breaks: readonly (Occurrence | Cut)[]): readonly number[] {
    const encode = (start: number, end: number): readonly number[] =>
      start < end ? this.#tokenizer.encode(text.slice(start, end), { addSpecial: false, parseSpecial: false }) : [];
    const tokens: (readonly number[])[] = [];
    let position = 0;
    for (const { mark, start, end } of breaks.toSorted((one, other) => one.start - other.start)) {
      if (start < position) continue;
      tokens.push(encode(position, mark?.stripsLeft === true ? endWithoutBlanks(text, position, start) : start));
      if (mark !== undefined) tokens.push([mark.token]);
      position = mark?.stripsRight === true ? startWithoutBlanks(text, end) : end;
    }
    tokens.push(encode(position, text.length));
    return tokens.flat();
  }
}

/** Keeps those that llama.cpp would: longer ones first, then earlier ones. Returns them in the order of the text. */
function withoutOverlaps(occurrences: readonly Occurrence[]): readonly Occurrence[] {
  const length = ({ start, end }: Occurrence): number => end - start;
  const byLength = occurrences.toSorted((one, other) => length(other) - length(one) || one.start - other.start);
  const taken = new Set<number>();
  const kept = byLength.filter(({ start, end }) => {
    const units = Array.from({ length: end - start }, (_, index) => start + index);
    if (units.some((unit) => taken.has(unit))) return false;
    for (const unit of units) taken.add(unit);
    return true;
  });
  return kept.toSorted((one, other) => one.start - other.start);
}

/** White space as C's `isspace` sees it. */
const blank = /[\t-\r ]/;

function endWithoutBlanks(text: string, start: number, end: number): number {
  let last = end;
  while (last > start && blank.test(text.charAt(last - 1))) last -= 1;
  return last;
}

function startWithoutBlanks(text: string, start: number): number {
  let first = start;
  while (first < text.length && blank.test(text.charAt(first))) first += 1;
  return first;
}

/** A node of the search tree: by UTF-16 unit, the texts that begin like the path to it. */
interface FinderNode {
  readonly next: Map<number, FinderNode>;
  mark: MarkToken | undefined;
}

/** A search for the texts of marks, in one pass over a text. */
class MarkFinder {
  readonly #root: FinderNode = { next: new Map(), mark: undefined };

  constructor(marks: readonly MarkToken[]) {
    for (const mark of marks) this.#add(mark);
  }

  /** Returns all occurrences, including overlapping ones, in the order in which they begin. */
  find(text: string): readonly Occurrence[] {
    const found: Occurrence[] = [];
    for (let start = 0; start < text.length; start += 1) {
      let node: FinderNode | undefined = this.#root.next.get(text.charCodeAt(start));
      for (let end = start + 1; node !== undefined; end += 1) {
        if (node.mark !== undefined) found.push({ mark: node.mark, start, end });
        node = node.next.get(text.charCodeAt(end));
      }
    }
    return found;
  }

  #add(mark: MarkToken): void {
    let node = this.#root;
    for (let index = 0; index < mark.text.length; index += 1) {
      const unit = mark.text.charCodeAt(index);
      const next: FinderNode = node.next.get(unit) ?? { next: new Map(), mark: undefined };
      node.next.set(unit, next);
      node = next;
    }
    node.mark ??= mark;
  }
}
