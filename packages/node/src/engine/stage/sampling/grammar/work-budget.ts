import { invalidGrammar } from './parse-grammar.ts';

/** Steps that a sequence starts with, for a first token that takes long: JSON takes some ten thousand for all its tokens. */
const defaultSteps = 200_000;
/** Steps that each further token adds, of 50 to 500 ns each: others of the micro-batch wait meanwhile, token by token. */
const defaultStepsPerToken = 20_000;
const defaultMilliseconds = 50;
/**
 * Time for all tokens that were generated before, together: others wait for them at once. Ordinary grammars take some
 * 10 µs for each.
 */
const defaultReplayMilliseconds = 1000;
/** Steps between two looks at the clock. */
const stepsPerLook = 4096;

/**
 * The work that a grammar may cause for one sequence: in steps, which are the same on every machine, and in processor
 * time for each token, for slow machines. A sequence begins with many steps, since most work of a grammar is
 * remembered, and gets few with each token, since others wait for it.
 */
export class WorkBudget {
  readonly #mostSteps: number;
  readonly #stepsPerToken: number;
  readonly #milliseconds: number;
  readonly #replayMilliseconds: number;
  readonly #nowMs: () => number;
  #steps: number;
  #untilLook = stepsPerLook;
  #endMs: number;

  constructor({
    steps = defaultSteps,
    stepsPerToken = defaultStepsPerToken,
    milliseconds = defaultMilliseconds,
    replayMilliseconds = defaultReplayMilliseconds,
    nowMs = threadMs,
  } = {}) {
    this.#mostSteps = steps;
    this.#stepsPerToken = stepsPerToken;
    this.#milliseconds = milliseconds;
    this.#replayMilliseconds = replayMilliseconds;
    this.#nowMs = nowMs;
    this.#steps = steps;
    this.#endMs = nowMs() + milliseconds;
  }

  /** Begins with the next token, which adds steps and has its own time. */
  nextToken(): void {
    this.#steps = Math.min(this.#mostSteps, this.#steps + this.#stepsPerToken);
    this.#endMs = this.#nowMs() + this.#milliseconds;
  }

  /** Begins with tokens that were generated before: each adds its steps, and all share one time. */
  *replay(tokens: readonly number[]): Generator<number, void, undefined> {
    const replayEndMs = this.#nowMs() + this.#replayMilliseconds;
    for (const token of tokens) {
      this.nextToken();
      this.#endMs = Math.min(this.#endMs, replayEndMs);
      yield token;
    }
  }

  /**
   * Takes a step.
   *
   * @throws SkeinError `invalid-request` when steps or time are spent
   */
  spend(): void {
    this.#steps -= 1;
    this.#untilLook -= 1;
    if (this.#steps >= 0 && this.#untilLook > 0) return;
    this.#untilLook = stepsPerLook;
    if (this.#steps >= 0 && this.#nowMs() <= this.#endMs) return;
    throw invalidGrammar(
      'it can be read in too many ways at once to find the next token; avoid alternatives that begin alike and repetitions of what may be empty',
    );
  }
}

/** Returns the time that this thread has computed, in milliseconds: other threads do not count. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
