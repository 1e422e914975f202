import { SkeinError } from '@skein/protocol';

import type { ContextPointer, Libllama, MemoryPointer } from '../libllama/libllama.ts';

export interface SwapSpaceOptions {
  readonly library: Libllama;
  readonly context: ContextPointer;
  /** Most tokens of all sequences in it. */
  readonly tokens: number;
}

/** Greatest size of memory that is used again, by the size that is needed. */
const spareRatio = 1.25;

interface Swapped {
  readonly state: Uint8Array<ArrayBuffer>;
  readonly tokens: number;
}

/** Finished sequences of one stage in main memory, as llama.cpp writes them: keys and values bit for bit. */
export class SwapSpace {
  readonly #options: SwapSpaceOptions;
  readonly #memory: MemoryPointer;
  readonly #swapped = new Map<number, Swapped>();
  #tokens = 0;
  /** Memory of what was discarded last: new memory takes the system several times as long as the copy. */
  #spare: ArrayBuffer | undefined;

  constructor(options: SwapSpaceOptions) {
    this.#options = options;
    this.#memory = options.library.memory(options.context);
  }

  /**
   * Moves a sequence's cells to a place. Does nothing for a sequence without cells. However it ends, the sequence has none then.
   *
   * @throws SkeinError `protocol-violation` where the place is taken or the space full, `engine-failed` when it can't be done
   */
  swapOut(sequence: number, place: number): void {
    const { library, context, tokens: most } = this.#options;
    const tokens = library.memoryLastPosition(this.#memory, sequence) + 1;
    if (tokens === 0) return;
    try {
      if (this.#swapped.has(place)) {
        throw new SkeinError('protocol-violation', `place ${place} of the swap space is taken`);
      }
      if (this.#tokens + tokens > most) {
        throw new SkeinError('protocol-violation', `the swap space of ${most} tokens is full`);
      }
      const state = this.#allocate(library.sequenceStateBytes(context, sequence));
      if (library.sequenceStateGet(context, state, state.byteLength, sequence) !== state.byteLength) {
        throw new SkeinError('engine-failed', 'llama.cpp could not write a sequence to main memory');
      }
      this.#swapped.set(place, { state, tokens });
      this.#tokens += tokens;
    } finally {
      library.memoryRemove(this.#memory, sequence, 0, -1);
    }
  }

  /**
   * Copies what is in a place, up to a position, into cells of a sequence, which loses those that it has.
   *
   * @throws SkeinError `engine-failed` when nothing is there, or there are not enough free cells for all of it
   */
  swapIn(place: number, sequence: number, before: number): void {
    const { library, context } = this.#options;
    const swapped = this.#swapped.get(place);
    if (swapped === undefined) throw new SkeinError('engine-failed', `nothing is in place ${place} of the swap space`);
    const { state } = swapped;
    if (library.sequenceStateSet(context, state, state.byteLength, sequence) !== state.byteLength) {
      throw new SkeinError('engine-failed', 'llama.cpp could not read a sequence from main memory');
    }
    library.memoryRemove(this.#memory, sequence, before, -1);
  }

  discard(place: number): void {
    const swapped = this.#swapped.get(place);
    if (swapped === undefined) return;
    this.#swapped.delete(place);
    this.#tokens -= swapped.tokens;
    this.#spare = swapped.state.buffer;
  }

  #allocate(bytes: number): Uint8Array<ArrayBuffer> {
    const spare = this.#spare;
    this.#spare = undefined;
    // One that is much larger would hold more than is counted.
    if (spare !== undefined && spare.byteLength >= bytes && spare.byteLength <= bytes * spareRatio) {
      return new Uint8Array(spare, 0, bytes);
    }
    try {
      return new Uint8Array(bytes);
    } catch (error) {
      throw new SkeinError('engine-failed', 'there is not enough memory to swap a sequence out', { cause: error });
    }
  }
}
