/** The duration of one step. */
export interface StepCost {
  readonly rows: number;
  readonly ms: number;
}

/** Weight of the newest measurement. */
const weight = 0.2;

/**
 * Cost of a draft token's row relative to one of a prompt, which needs no logits: about as much for a model with a
 * large vocabulary.
 */
const logitsFactor = 1.25;

/**
 * The cost of a micro-batch in which all sequences decode, by its number of rows, learned from those that ran:
 * milliseconds on the lead's own stage. Machines differ widely: where memory is the limit sixteen rows take little
 * longer than one, where arithmetic is, sixteen times as long.
 */
export class StepCosts {
  readonly #decode = new Curve();
  readonly #prompt = new Curve();

  /**
   * Learns the duration of a step.
   *
   * @param kind `prompt` when some of the rows were a prompt's
   */
  observe(kind: 'decode' | 'prompt', rows: number, ms: number): void {
    (kind === 'decode' ? this.#decode : this.#prompt).observe(rows, ms);
  }

  /**
   * Estimates the milliseconds of a step; undefined before any step. Uses those with prompts' rows as long as so many
   * rows were never decoded.
   */
  estimate(rows: number): number | undefined {
    const decode = this.#decode.estimate(rows);
    if (rows <= this.#decode.mostRows * 1.5) return decode;
    const prompt = this.#prompt.estimate(rows);
    if (prompt === undefined) return decode;
    return Math.max(prompt * logitsFactor, this.#decode.estimate(this.#decode.mostRows) ?? 0);
  }
}

/** A curve of milliseconds over rows. */
class Curve {
  /** Mean rows and milliseconds, by binary logarithm of the rows, rounded. */
  readonly #measured = new Map<number, { rows: number; ms: number }>();

  get mostRows(): number {
    return Math.max(0, ...[...this.#measured.values()].map(({ rows }) => rows));
  }

  observe(rows: number, ms: number): void {
    const bucket = Math.round(Math.log2(rows));
    const measured = this.#measured.get(bucket);
    if (measured === undefined) this.#measured.set(bucket, { rows, ms });
    else {
      measured.rows += weight * (rows - measured.rows);
      measured.ms += weight * (ms - measured.ms);
    }
  }

  /**
   * Estimates by a straight line between the two nearest measurements. With just one, the time grows with the rows,
   * which is the worst case.
   */
  estimate(rows: number): number | undefined {
    const points = [...this.#measured.values()].sort((first, second) => first.rows - second.rows);
    const above = points.findIndex((point) => point.rows >= rows);
    const high = above === -1 ? points.length - 1 : above;
    const upper = points[high];
    const lower = points[high - 1];
    if (upper === undefined) return undefined;
    if (lower === undefined) return (upper.ms * rows) / upper.rows;
    const slope = Math.max(0, (upper.ms - lower.ms) / (upper.rows - lower.rows));
    return Math.max(lower.ms, upper.ms + slope * (rows - upper.rows));
  }
}
