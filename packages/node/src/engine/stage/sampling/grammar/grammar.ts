import { MatchMemory } from './match-memory.ts';
import { Matcher, type MatchState } from './matcher.ts';
import { Vocabulary, type VocabularySource } from './vocabulary.ts';
import { WorkBudget } from './work-budget.ts';

/** Most grammars that are kept compiled: requests of one program mostly come with the same few. */
const mostMatchers = 8;
const mostBytes = 4_000_000;

/** The grammars that a process has seen last, compiled, with their memory of matched texts. */
export class CompiledGrammars {
  readonly #memory = new MatchMemory();
  /** Matchers by grammar, least recently used first. */
  readonly #matchers = new Map<string, Matcher>();

  /**
   * Compiles a grammar, or finds it compiled, and matches up to its first token.
   *
   * @throws SkeinError `invalid-request` that names problem and place, for a text that is no grammar in GBNF, is too
   * large or takes more work than a token may
   */
  open(text: string, budget: WorkBudget): { readonly matcher: Matcher; readonly state: MatchState } {
    const matcher = this.#matchers.get(text) ?? new Matcher(text, this.#memory);
    const state = matcher.start(budget);
    this.#matchers.delete(text);
    this.#matchers.set(text, matcher);
    this.#evict();
    return { matcher, state };
  }

  #evict(): void {
    let bytes = this.#matchers.values().reduce((sum, matcher) => sum + matcher.bytes, 0);
    for (const [text, matcher] of this.#matchers) {
      if (this.#matchers.size === 1 || (this.#matchers.size <= mostMatchers && bytes <= mostBytes)) return;
      this.#matchers.delete(text);
      bytes -= matcher.bytes;
    }
  }
}

/**
 * Checks a grammar.
 *
 * @throws SkeinError `invalid-request` as {@link CompiledGrammars.open} does
 */
export function checkGrammar(text: string, compiled = new CompiledGrammars()): void {
  compiled.open(text, new WorkBudget());
}

/** The grammars of a model's sequences. It reads the vocabulary when the first one is opened. */
export class Grammars {
  readonly #source: VocabularySource;
  readonly #compiled: CompiledGrammars;
  #vocabulary: Vocabulary | undefined;

  constructor(source: VocabularySource, compiled = new CompiledGrammars()) {
    this.#source = source;
    this.#compiled = compiled;
  }

  /**
   * Opens a grammar behind tokens that were generated under it.
   *
   * @returns undefined when it does not derive them
   * @throws SkeinError as {@link CompiledGrammars.open} does, and when it takes too long to follow the tokens
   */
  open(text: string, generated: readonly number[] = []): GrammarState | undefined {
    const budget = new WorkBudget();
    const { matcher, state } = this.#compiled.open(text, budget);
    this.#vocabulary ??= new Vocabulary(this.#source);
    let opened: GrammarState | undefined = new GrammarState({ vocabulary: this.#vocabulary, matcher, budget }, state);
    for (const token of budget.replay(generated)) opened = opened?.after(token);
    return opened;
  }
}

interface GrammarParts {
  readonly vocabulary: Vocabulary;
  readonly matcher: Matcher;
  /** Budget of the sequence. */
  readonly budget: WorkBudget;
}

/**
 * A grammar and the text matched against it so far. Immutable, except for the budget of work that a sequence's states
 * share.
 */
export class GrammarState {
  readonly #parts: GrammarParts;
  readonly #state: MatchState;

  constructor(parts: GrammarParts, state: MatchState) {
    this.#parts = parts;
    this.#state = state;
  }

  /** Begins with the next token, which adds to the sequence's budget. */
  nextToken(): void {
    this.#parts.budget.nextToken();
  }

  /**
   * Returns the state after a token, or undefined when the grammar does not allow it.
   *
   * @throws SkeinError `invalid-request` when the budget is spent
   */
  after(token: number): GrammarState | undefined {
    const { vocabulary, matcher, budget } = this.#parts;
    const state = vocabulary.after(matcher, this.#state, token, budget);
    return state && new GrammarState(this.#parts, state);
  }

  /**
   * Returns for each token whether it may come next: 1 or 0.
   *
   * @throws SkeinError `invalid-request` when the budget is spent
   */
  allowed(): Uint8Array {
    const { vocabulary, matcher, budget } = this.#parts;
    return vocabulary.allowed(matcher, this.#state, budget);
  }
}
