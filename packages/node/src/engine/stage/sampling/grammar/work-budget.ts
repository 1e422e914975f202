import { invalidGrammar } from './parse-grammar.ts';

/** Steps that a sequence may take at once, for a token that was long in coming: what JSON takes for all is some ten thousand. */
const defaultSteps = 200_000;
/** Steps that each further token brings, of 50 to 500 ns each: others of the micro-batch wait meanwhile, token by token. */
const defaultStepsPerToken = 20_000;
const defaultMilliseconds = 50;
/** For all tokens together that were generated before: others wait for them at once. Ordinary grammars take some 10 µs for each. */
const defaultReplayMilliseconds = 1000;
/** Steps between two looks at the clock. */
const stepsPerLook = 4096;

/**
 * The work that a grammar may cause for one sequence: in steps, which are the same on every machine, and in processor time for
 * each token, for slow machines. A sequence begins with many steps, since most of what a grammar takes is remembered, and has
 * few to live on, since others wait with each of its tokens.
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

  /** Begins with the next token: it brings steps, and has its own time. */
  nextToken(): void {
    this.#steps = Math.min(this.#mostSteps, this.#steps + this.#stepsPerToken);
    this.#endMs = this.#nowMs() + this.#milliseconds;
  }

  /** Begins with tokens that were generated before: each brings its steps, and all have one time together. */
  *replay(tokens: readonly number[]): Generator<number, void, undefined> {
    const replayEndMs = this.#nowMs() + this.#replayMilliseconds;
    for (const token of tokens) {
      this.nextToken();
      this.#endMs = Math.min(this.#endMs, replayEndMs);
      yield token;
    }
  }

  /** Takes a step. Throws `invalid-request` when there is none left. */
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

/** Returns the time that this thread has computed, in milliseconds: others on the machine do not count. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
