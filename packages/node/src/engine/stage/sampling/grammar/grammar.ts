import { invariant } from '@skein/protocol';

import { Matcher, type MatchState } from './matcher.ts';
import { Vocabulary, type VocabularySource } from './vocabulary.ts';
import { WorkBudget } from './work-budget.ts';

/** Grammars that are kept compiled: requests of one program mostly come with the same few. */
const mostMatchers = 8;

/**
 * Checks that a text is a grammar in GBNF and that finding its first token takes no more than a token may.
 *
 * @throws SkeinError `invalid-request` that says what is wrong and where
 */
export function checkGrammar(text: string): void {
  new Matcher(text).start(new WorkBudget());
}

/** The grammars of a model's sequences. The vocabulary is read when the first one is opened. */
export class Grammars {
  readonly #source: VocabularySource;
  /** Least recently used first. */
  readonly #matchers = new Map<string, Matcher>();
  #vocabulary: Vocabulary | undefined;

  constructor(source: VocabularySource) {
    this.#source = source;
  }

  /** Returns a grammar before its first token. Throws what {@link checkGrammar} does. */
  open(text: string): GrammarState {
    const matcher = this.#matchers.get(text) ?? new Matcher(text);
    this.#matchers.delete(text);
    this.#matchers.set(text, matcher);
    const [oldest] = this.#matchers.keys();
    if (this.#matchers.size > mostMatchers)
      this.#matchers.delete(invariant(oldest, 'a map that is too large has a key'));
    this.#vocabulary ??= new Vocabulary(this.#source);
    return new GrammarState(this.#vocabulary, matcher, matcher.start(new WorkBudget()));
  }
}

/** A grammar and the text that it has been matched against so far. Immutable. Work for each call is bounded by a budget. */
export class GrammarState {
  readonly #vocabulary: Vocabulary;
  readonly #matcher: Matcher;
  readonly #state: MatchState;

  constructor(vocabulary: Vocabulary, matcher: Matcher, state: MatchState) {
    this.#vocabulary = vocabulary;
    this.#matcher = matcher;
    this.#state = state;
  }

  /** Returns the state after a token, or undefined when the grammar does not allow it. Throws `invalid-request` beyond the budget. */
  after(token: number): GrammarState | undefined {
    const state = this.#vocabulary.after(this.#matcher, this.#state, token, new WorkBudget());
    return state && new GrammarState(this.#vocabulary, this.#matcher, state);
  }

  /** Returns by token whether it may come next: 1 or 0. Throws `invalid-request` beyond the budget. */
  allowed(): Uint8Array {
    return this.#vocabulary.allowed(this.#matcher, this.#state, new WorkBudget());
  }
}
