import { isSkeinError, toWireError, type Sampled, type StepEntry } from '@skein/protocol';

import type { Drawn, Sampler } from './sampling/sampler.ts';

type Draw = Sampled['draws'][number];

/**
 * Returns how many of an entry's first rows have no draw after them. The row before the first draft token is the first
 * with a draw.
 */
export function rowsBeforeFirstDraw({ count, sample, draft = [] }: StepEntry): number {
  return sample ? Math.max(0, count - draft.length - 1) : count;
}

/**
 * A verifier that draws tokens after the rows of entries, and checks the draft tokens among them: a draft token stands
 * when it equals the token drawn for its position, so the text is the same as without drafts. It keeps the last token
 * drawn for each sequence, since draft tokens may come a step later than the row that decides about them.
 */
export class Verification {
  readonly #sampler: Pick<Sampler, 'draw'>;
  readonly #lastDrawn = new Map<number, { readonly position: number; readonly token: number }>();

  constructor(sampler: Pick<Sampler, 'draw'>) {
    this.#sampler = sampler;
  }

  /** Tells whether an entry's rows count at all: not when its first row is a draft token that has fallen. */
  stands({ sequence, position, count, draft = [] }: StepEntry): boolean {
    if (draft.length < count) return true;
    const last = this.#lastDrawn.get(sequence);
    return last?.position === position && last.token === draft[0];
  }

  /** Forgets the token drawn last in a slot. */
  forget(sequence: number): void {
    this.#lastDrawn.delete(sequence);
  }

  /**
   * Draws after an entry's rows. A sequence whose own request makes that impossible gets the error as its draw; the
   * others of the step go on.
   *
   * @param firstRow of the entry, in the micro-batch that was decoded
   */
  draw(entry: StepEntry, firstRow: number): Draw {
    try {
      return this.#draw(entry, firstRow);
    } catch (error) {
      if (!isSkeinError(error) || error.code !== 'invalid-request') throw error;
      return { sequence: entry.sequence, tokens: [], error: toWireError(error) };
    }
  }

  #draw(entry: StepEntry, firstRow: number): Draw {
    const { sequence, position, count, draft = [] } = entry;
    const confirming = draft.length === count ? draft.slice(1) : draft;
    const drawn: Drawn[] = [];
    for (let row = rowsBeforeFirstDraw(entry); row < count; row += 1) {
      const at = position + row + 1;
      const next = this.#sampler.draw({ sequence, row: firstRow + row, position: at });
      this.#lastDrawn.set(sequence, { position: at, token: next.token });
      if (drawn.push(next) > confirming.length || confirming[drawn.length - 1] !== next.token) break;
    }
    return describe(sequence, drawn);
  }
}

function describe(sequence: number, drawn: readonly Drawn[]): Draw {
  const logprobs = drawn.flatMap((draw) => draw.logprobs ?? []);
  const mus = drawn.flatMap((draw) => draw.mu ?? []);
  return {
    sequence,
    tokens: drawn.map(({ token }) => token),
    ...(logprobs.length === 0 ? {} : { logprobs }),
    ...(mus.length === 0 ? {} : { mus }),
  };
}
