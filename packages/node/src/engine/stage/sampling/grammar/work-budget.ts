import { invalidGrammar } from './parse-grammar.ts';

/** Steps of one token: what JSON takes is a few thousand, most of which are remembered. At 50 to 500 ns each. */
const defaultSteps = 1_000_000;
const defaultMilliseconds = 250;
/** Steps between two looks at the clock. */
const stepsPerLook = 4096;

/**
 * The work that a grammar may cause for one token: in steps, which are the same on every machine, and in processor time, for slow
 * machines. Others wait meanwhile.
 */
export class WorkBudget {
  #steps: number;
  #untilLook = stepsPerLook;
  readonly #endMs: number;
  readonly #nowMs: () => number;

  constructor({ steps = defaultSteps, milliseconds = defaultMilliseconds, nowMs = threadMs } = {}) {
    this.#steps = steps;
    this.#nowMs = nowMs;
    this.#endMs = nowMs() + milliseconds;
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
