import { written, type Text } from './text.ts';

/** What a rendering may take. */
export interface RenderingLimits {
  /** What all of {@link Budget} may add up to. A step takes well under a microsecond. */
  readonly steps: number;
  /** Characters of the longest text, the rendering itself or one on the way there. */
  readonly characters: number;
  /** Macros inside macros. */
  readonly depth: number;
}

/** The template takes more than a rendering may. */
export class BudgetExceeded extends Error {}

/**
 * Counts what a rendering takes, so that no template, which comes from whoever made the model's file, holds up the other
 * generations of its engine or fills its memory. Nodes of the template count, and so does what an operation makes or goes
 * through; where its size is a product it is counted before it is made.
 */
export class Budget {
  readonly #limits: RenderingLimits;
  #steps = 0;
  #depth = 0;

  constructor(limits: RenderingLimits) {
    this.#limits = limits;
  }

  /** @throws BudgetExceeded */
  step(weight = 1): void {
    this.#steps += weight;
    if (this.#steps > this.#limits.steps) throw new BudgetExceeded(`it takes more than ${this.#limits.steps} steps`);
  }

  /** Counts a text that is looked at. @throws BudgetExceeded */
  text(characters: number): void {
    this.step(Math.trunc(characters / 1024));
  }

  /** Counts a text that is made. @throws BudgetExceeded */
  newText(characters: number): void {
    this.#assertLength(characters);
    this.step(Math.trunc(characters / 32));
  }

  /** Counts a piece that makes a text of `before` characters longer. @throws BudgetExceeded */
  append(before: number, characters: number): void {
    this.#assertLength(before + characters);
    this.step(1 + Math.trunc(characters / 1024));
  }

  /** Counts a list that is gone through, or made of elements that exist already. @throws BudgetExceeded */
  list(elements: number): void {
    this.step(Math.trunc(elements / 8));
  }

  /** Counts a list whose elements are made, too. @throws BudgetExceeded */
  newList(elements: number): void {
    this.step(Math.max(0, elements));
  }

  /** Counts a search: at worst it compares the whole pattern every few hundred characters. @throws BudgetExceeded */
  search(textCharacters: number, patternCharacters: number): void {
    this.step(Math.trunc((textCharacters * patternCharacters) / 2 ** 18));
  }

  /** Runs what may run itself again. @throws BudgetExceeded */
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

  /** @throws BudgetExceeded */
  append(piece: Text): void {
    this.#budget.append(this.#text.length, piece.length);
    this.#text = this.#text.plus(piece);
  }
}
