import { SkeinError } from '@skein/protocol';

/** A range of code points, both ends included. */
export type CodePointRange = readonly [from: number, to: number];

/** An expression of a grammar: a rule's right side, or a part of one. */
export type Expression =
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'text'; readonly text: string }
  /** One character of these ranges, which may overlap. */
  | { readonly kind: 'character'; readonly ranges: readonly CodePointRange[]; readonly isNegated: boolean }
  | { readonly kind: 'repetition'; readonly of: Expression; readonly least: number; readonly most: number }
  | { readonly kind: 'rule'; readonly name: string };

/** Rules by name. It has each name that an expression uses, and `root`. */
export type Grammar = ReadonlyMap<string, Expression>;

export const grammarBounds = Object.freeze({
  /** Deepest nesting of groups. The parser and the compiler descend recursively. */
  nesting: 64,
  rules: 4096,
  /** Largest number in a repetition. */
  repetitions: 65_535,
  /**
   * Most ranges of characters, and single ones, in all character classes. The letters of all scripts are some 700
   * ranges.
   */
  ranges: 10_000,
});

const lastCodePoint = 0x10_ffff;
const nameCharacters = /[\w-]+/y;
const hexDigits = /^[\da-f]+$/i;
const simpleEscapes: ReadonlyMap<string, number> = new Map([
  ['t', 0x09],
  ['n', 0x0a],
  ['r', 0x0d],
  ['"', 0x22],
  ['-', 0x2d],
  ['[', 0x5b],
  ['\\', 0x5c],
  [']', 0x5d],
]);
const digitsOfEscape: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);

/**
 * Parses a grammar in GBNF, llama.cpp's notation: rules `name ::= ...` of texts, character classes, `.`, names, groups
 * and alternatives, repeated with `*`, `+`, `?`, `{m}`, `{m,}` and `{m,n}`. A rule ends with its line, except inside a
 * group and after `|`. Where a name is defined twice the last definition counts.
 *
 * @throws SkeinError `invalid-request` that names line and column, for text that is no GBNF or exceeds {@link
 * grammarBounds}
 */
export function parseGrammar(text: string): Grammar {
  return new Parser(text).grammar();
}

class Parser {
  readonly #text: string;
  readonly #rules = new Map<string, Expression>();
  /** Place of each name's first use. */
  readonly #uses = new Map<string, number>();
  #position = 0;
  #depth = 0;
  #ranges = 0;

  constructor(text: string) {
    this.#text = text;
  }

  grammar(): Grammar {
    this.#skipSpace({ lines: true });
    while (this.#position < this.#text.length) this.#rule();
    if (!this.#rules.has('root')) throw invalidGrammar('it has no rule `root`');
    for (const [name, position] of this.#uses) {
      if (!this.#rules.has(name)) throw this.#at(position, `there is no rule \`${name.slice(0, 100)}\``);
    }
    return this.#rules;
  }

  #rule(): void {
    const name = this.#name() ?? this.#fail('a rule begins with a name of letters, digits and dashes');
    this.#skipSpace({ lines: false });
    if (!this.#take('::=')) this.#fail(`the rule \`${name.slice(0, 100)}\` needs \`::=\` after its name`);
    this.#skipSpace({ lines: true });
    const expression = this.#choice();
    if (this.#position < this.#text.length && !/[\r\n]/.test(this.#next)) {
      this.#fail(this.#next === ')' ? 'no group is open that `)` could close' : 'this is no part of a rule');
    }
    this.#rules.set(name, expression);
    if (this.#rules.size > grammarBounds.rules) throw invalidGrammar(`it has more than ${grammarBounds.rules} rules`);
    this.#skipSpace({ lines: true });
  }

  #choice(): Expression {
    const options = [this.#sequence()];
    while (this.#take('|')) {
      this.#skipSpace({ lines: true });
      options.push(this.#sequence());
    }
    const [only] = options;
    return options.length === 1 && only !== undefined ? only : { kind: 'choice', options };
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    let repetitions = 0;
    for (;;) {
      const repetition = this.#repetition();
      if (repetition !== undefined) {
        const of = parts.pop() ?? this.#fail('there is nothing before it that it could repeat');
        parts.push({ kind: 'repetition', of, ...repetition });
        repetitions += 1;
        if (repetitions > grammarBounds.nesting) this.#fail('this is repeated in too many ways');
      } else {
        const part = this.#part();
        if (part === undefined) break;
        parts.push(part);
        repetitions = 0;
      }
      this.#skipSpace({ lines: this.#depth > 0 });
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: 'sequence', parts };
  }

  #part(): Expression | undefined {
    if (this.#take('"')) return this.#quoted();
    if (this.#take('[')) return this.#characterClass();
    if (this.#take('(')) return this.#group();
    if (this.#take('.')) return { kind: 'character', ranges: [[0, lastCodePoint]], isNegated: false };
    if (this.#next === '<' || this.#next === '!') this.#fail('tokens can not be named; write their text in quotes');
    const position = this.#position;
    const name = this.#name();
    if (name === undefined) return undefined;
    if (!this.#uses.has(name)) this.#uses.set(name, position);
    return { kind: 'rule', name };
  }

  #quoted(): Expression {
    const opened = this.#position - 1;
    let text = '';
    while (!this.#take('"')) text += String.fromCodePoint(this.#character(opened, 'this text has no closing `"`'));
    return { kind: 'text', text };
  }

  #characterClass(): Expression {
    const opened = this.#position - 1;
    const unclosed = 'this character class has no closing `]`';
    const isNegated = this.#take('^');
    const ranges: CodePointRange[] = [];
    while (!this.#take(']')) {
      this.#ranges += 1;
      if (this.#ranges > grammarBounds.ranges) {
        throw this.#at(opened, `character classes have more than ${grammarBounds.ranges} ranges in all`);
      }
      const from = this.#character(opened, unclosed);
      const isRange = this.#next === '-' && this.#text[this.#position + 1] !== ']';
      if (!isRange) {
        ranges.push([from, from]);
        continue;
      }
      this.#position += 1;
      const to = this.#character(opened, unclosed);
      if (to < from) this.#fail('this range ends before it begins');
      ranges.push([from, to]);
    }
    return { kind: 'character', ranges, isNegated };
  }

  #group(): Expression {
    const opened = this.#position - 1;
    this.#depth += 1;
    if (this.#depth > grammarBounds.nesting) {
      throw this.#at(opened, `groups are nested deeper than ${grammarBounds.nesting}`);
    }
    this.#skipSpace({ lines: true });
    const expression = this.#choice();
    if (!this.#take(')')) {
      throw this.#position < this.#text.length
        ? this.#at(this.#position, 'this is no part of a rule')
        : this.#at(opened, 'this group has no closing `)`');
    }
    this.#depth -= 1;
    return expression;
  }

  #repetition(): { least: number; most: number } | undefined {
    if (this.#take('*')) return { least: 0, most: Infinity };
    if (this.#take('+')) return { least: 1, most: Infinity };
    if (this.#take('?')) return { least: 0, most: 1 };
    if (!this.#take('{')) return undefined;
    const expected = 'a repetition is {m}, {m,} or {m,n}';
    this.#skipSpace({ lines: this.#depth > 0 });
    const least = this.#number() ?? this.#fail(expected);
    let most = least;
    this.#skipSpace({ lines: this.#depth > 0 });
    if (this.#take(',')) {
      this.#skipSpace({ lines: this.#depth > 0 });
      most = this.#number() ?? Infinity;
      this.#skipSpace({ lines: this.#depth > 0 });
    }
    if (!this.#take('}') || most < least) this.#fail(expected);
    return { least, most };
  }

  #number(): number | undefined {
    const start = this.#position;
    while (/\d/.test(this.#next)) this.#position += 1;
    if (start === this.#position) return undefined;
    const number = Number(this.#text.slice(start, this.#position));
    if (number <= grammarBounds.repetitions) return number;
    throw this.#at(start, `repetitions go up to ${grammarBounds.repetitions}`);
  }

  /** Reads one character of a text or class, escapes included. */
  #character(opened: number, unclosed: string): number {
    const codePoint = this.#text.codePointAt(this.#position);
    if (codePoint === undefined) throw this.#at(opened, unclosed);
    this.#position += codePoint > 0xffff ? 2 : 1;
    if (codePoint !== 0x5c) return isSurrogate(codePoint) ? 0xfffd : codePoint;
    return this.#escape();
  }

  #escape(): number {
    const start = this.#position - 1;
    const letter = this.#next;
    this.#position += 1;
    const simple = simpleEscapes.get(letter);
    if (simple !== undefined) return simple;
    const length = digitsOfEscape.get(letter);
    const digits = this.#text.slice(this.#position, this.#position + (length ?? 0));
    if (length === undefined || digits.length < length || !hexDigits.test(digits)) {
      throw this.#at(start, 'escapes are \\t \\n \\r \\\\ \\" \\- \\[ \\] \\xNN \\uNNNN and \\UNNNNNNNN');
    }
    this.#position += length;
    const codePoint = Number.parseInt(digits, 16);
    if (codePoint > lastCodePoint || isSurrogate(codePoint)) throw this.#at(start, 'there is no such character');
    return codePoint;
  }

  #name(): string | undefined {
    nameCharacters.lastIndex = this.#position;
    const name = nameCharacters.exec(this.#text)?.[0];
    this.#position += name?.length ?? 0;
    return name;
  }

  #skipSpace({ lines }: { readonly lines: boolean }): void {
    for (;;) {
      const character = this.#next;
      if (character === '#') this.#skipComment();
      else if (character === ' ' || character === '\t' || (lines && (character === '\r' || character === '\n'))) {
        this.#position += 1;
      } else return;
    }
  }

  #skipComment(): void {
    while (this.#position < this.#text.length && !/[\r\n]/.test(this.#next)) this.#position += 1;
  }

  get #next(): string {
    return this.#text.charAt(this.#position);
  }

  #take(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#position)) return false;
    this.#position += expected.length;
    return true;
  }

  #fail(problem: string): never {
    throw this.#at(this.#position, problem);
  }

  #at(position: number, problem: string): SkeinError {
    const before = this.#text.slice(0, position);
    const line = before.split('\n').length;
    return invalidGrammar(`line ${line}, column ${position - before.lastIndexOf('\n')}: ${problem}`);
  }
}

function isSurrogate(codePoint: number): boolean {
  return codePoint >= 0xd800 && codePoint <= 0xdfff;
}

/** Makes the error for a grammar that can't be used. */
export function invalidGrammar(problem: string): SkeinError {
  return new SkeinError('invalid-request', `the grammar can't be used: ${problem}`, { details: { param: 'grammar' } });
}
