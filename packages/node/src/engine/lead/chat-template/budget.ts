import { written, type Text } from './text.ts';

/** Limits of a rendering. */
export interface RenderingLimits {
  /** Most steps of a {@link Budget}, all its kinds together. A step takes well under a microsecond. */
  readonly steps: number;
  /** Longest text in characters: of the rendering itself, or of one on the way there. */
  readonly characters: number;
  /** Deepest nesting of macros. */
  readonly depth: number;
}

/** The error of a template that takes more than a rendering may. */
export class BudgetExceeded extends Error {}

/**
 * A count of a rendering's cost, so that no template, which comes from the model's file, holds up the other generations
 * of its engine or fills its memory. It counts nodes of the template, and the sizes of texts and lists that an
 * operation makes or reads; a size that is a product is counted before the operation.
 */
export class Budget {
  readonly #limits: RenderingLimits;
  #steps = 0;
  #depth = 0;

  constructor(limits: RenderingLimits) {
    this.#limits = limits;
  }

  /**
   * Counts `weight` steps.
   *
   * @throws BudgetExceeded when they exceed the limit
   */
  step(weight = 1): void {
    this.#steps += weight;
    if (this.#steps > this.#limits.steps) throw new BudgetExceeded(`it takes more than ${this.#limits.steps} steps`);
  }

  /**
   * Counts a text that is read.
   *
   * @throws BudgetExceeded when the steps exceed the limit
   */
  text(characters: number): void {
    this.step(Math.trunc(characters / 1024));
  }

  /**
   * Counts a text that is made.
   *
   * @throws BudgetExceeded when the text is too long or the steps exceed the limit
   */
  newText(characters: number): void {
    this.#assertLength(characters);
    this.step(Math.trunc(characters / 32));
  }

  /**
   * Counts a piece that makes a text of `before` characters longer.
   *
   * @throws BudgetExceeded when the text is too long or the steps exceed the limit
   */
  append(before: number, characters: number): void {
    this.#assertLength(before + characters);
    this.step(1 + Math.trunc(characters / 1024));
  }

  /**
   * Counts a list that is read, or made of existing elements.
   *
   * @throws BudgetExceeded when the steps exceed the limit
   */
  list(elements: number): void {
    this.step(Math.trunc(elements / 8));
  }

  /**
   * Counts a list whose elements are made, too.
   *
   * @throws BudgetExceeded when the steps exceed the limit
   */
  newList(elements: number): void {
    this.step(Math.max(0, elements));
  }

  /**
   * Counts a search, which at worst compares the whole pattern every few hundred characters.
   *
   * @throws BudgetExceeded when the steps exceed the limit
   */
  search(textCharacters: number, patternCharacters: number): void {
    this.step(Math.trunc((textCharacters * patternCharacters) / 2 ** 18));
  }

  /**
   * Runs a function that may run itself again.
   *
   * @throws BudgetExceeded when it is nested too deep
   */
  nested<Result>(run: () => Result): Result {
    this.#depth += 1;
    if (this.#depth > this.#limits.depth) throw new BudgetExceeded('its macros call each other without end');
    try {
      return run();
    } finally {
      this.#depth -= 1;
    }
  }

  #assertLength(characters: number): void {
    if (characters > this.#limits.characters) {
      throw new BudgetExceeded(`it writes more than ${this.#limits.characters} characters`);
    }
  }
}

/** A text that grows piece by piece, within a budget. */
export class BoundedText {
  readonly #budget: Budget;
  #text: Text = written('');

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get value(): Text {
    return this.#text;
  }

  /**
   * Appends a piece.
   *
   * @throws BudgetExceeded when the text is too long or the steps exceed the limit
   */
  append(piece: Text): void {
    this.#budget.append(this.#text.length, piece.length);
    this.#text = this.#text.plus(piece);
  }
}
