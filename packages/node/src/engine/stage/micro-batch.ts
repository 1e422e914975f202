import type { StepEntry } from '@skein/protocol';

import type { Batch, Libllama } from '../libllama/libllama.ts';
import { rowsBeforeFirstDraw } from './verification.ts';

/**
 * The rows of a micro-batch for which llama.cpp produces output: all, or those after which tokens are drawn, of these
 * entries.
 */
export type OutputRows = 'all' | ReadonlySet<StepEntry>;

/**
 * The arrays of `llama_batch`, allocated once for the largest micro-batch and filled again for each. llama.cpp copies
 * their content during the call.
 */
export class MicroBatch {
  readonly #positions: Int32Array;
  readonly #sequenceCounts: Int32Array;
  readonly #sequences: Int32Array;
  readonly #sequencePointers: BigUint64Array;
  readonly #outputs: Int8Array;

  constructor(library: Libllama, capacity: number) {
    this.#positions = new Int32Array(capacity);
    this.#sequenceCounts = new Int32Array(capacity).fill(1);
    this.#sequences = new Int32Array(capacity);
    this.#outputs = new Int8Array(capacity);
    const address = library.addressOf(this.#sequences);
    this.#sequencePointers = BigUint64Array.from({ length: capacity }, (_, row) => address + BigInt(row * 4));
  }

  /**
   * Fills the arrays with the rows of entries, which may be at most the capacity, and returns them. They stay valid
   * until the next call.
   */
  fill(
    entries: readonly StepEntry[],
    input: { tokens: Int32Array } | { hidden: Uint8Array },
    outputs: OutputRows,
  ): Batch {
    let row = 0;
    for (const entry of entries) {
      const firstOutput = outputs === 'all' ? 0 : outputs.has(entry) ? rowsBeforeFirstDraw(entry) : entry.count;
      for (let index = 0; index < entry.count; index += 1, row += 1) {
        this.#positions[row] = entry.position + index;
        this.#sequences[row] = entry.sequence;
        this.#outputs[row] = Number(index >= firstOutput);
      }
    }
    return {
      n_tokens: row,
      token: 'tokens' in input ? input.tokens : null,
      embd: 'hidden' in input ? input.hidden : null,
      pos: this.#positions,
      n_seq_id: this.#sequenceCounts,
      seq_id: this.#sequencePointers,
      logits: this.#outputs,
    };
  }
}
