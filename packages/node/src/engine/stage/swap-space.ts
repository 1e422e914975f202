import { SkeinError } from '@skein/protocol';

import type { ContextPointer, Libllama, MemoryPointer } from '../libllama/libllama.ts';

export interface SwapSpaceOptions {
  readonly library: Libllama;
  readonly context: ContextPointer;
  /** Most tokens of all its sequences together. */
  readonly tokens: number;
  /**
   * A sequence of the context that nothing else uses. Parts of others pass through it, since llama.cpp writes whole
   * ones.
   */
  readonly spareSequence: number;
}

/** A range of a sequence's positions. */
export interface SwapRange {
  /** First position. Default 0. */
  readonly from?: number | undefined;
  /** Position after the last. Default: all behind `from`. */
  readonly before?: number | undefined;
}

/** Greatest size of memory that is reused, relative to the size that is needed. */
const spareRatio = 1.25;

interface Swapped {
  readonly state: Uint8Array<ArrayBuffer>;
  readonly tokens: number;
  /** First position, where it is a part of a sequence. */
  readonly partFrom: number | undefined;
}

/** Sequences of one stage, or parts of them, in main memory, as llama.cpp writes them: keys and values bit for bit. */
export class SwapSpace {
  readonly #options: SwapSpaceOptions;
  readonly #memory: MemoryPointer;
  readonly #swapped = new Map<number, Swapped>();
  #tokens = 0;
  /** Memory that was discarded last, for reuse: new memory takes the system several times as long as the copy. */
  #spare: ArrayBuffer | undefined;

  constructor(options: SwapSpaceOptions) {
    this.#options = options;
    this.#memory = options.library.memory(options.context);
  }

  /**
   * Moves a sequence's cells, or a part of them, to a place. A sequence without cells is fine, as on a stage where a step
   * has failed. The sequence has no cells there afterwards, even after an error.
   *
   * @throws SkeinError `protocol-violation` when the place is taken or the space is full, `engine-failed` when
   * llama.cpp can't write the cells
   */
  swapOut(sequence: number, place: number, { from = 0, before = Infinity }: SwapRange = {}): void {
    const { library, context, tokens: most, spareSequence } = this.#options;
    const end = library.memoryLastPosition(this.#memory, sequence) + 1;
    const tokens = Math.min(before, end) - from;
    if (tokens <= 0) {
      if (!this.#swapped.has(place)) this.#swapped.set(place, { state: new Uint8Array(0), tokens: 0, partFrom: from });
      return;
    }
    const isPart = tokens < end;
    const source = isPart ? spareSequence : sequence;
    try {
      if (this.#swapped.has(place)) {
        throw new SkeinError('protocol-violation', `place ${place} of the swap space is taken`);
      }
      if (this.#tokens + tokens > most) {
        throw new SkeinError('protocol-violation', `the swap space of ${most} tokens is full`);
      }
      if (isPart) library.memoryCopy(this.#memory, sequence, spareSequence, from, from + tokens);
      const state = this.#allocate(library.sequenceStateBytes(context, source));
      if (library.sequenceStateGet(context, state, state.byteLength, source) !== state.byteLength) {
        throw new SkeinError('engine-failed', 'llama.cpp could not write a sequence to main memory');
      }
      this.#swapped.set(place, { state, tokens, partFrom: isPart ? from : undefined });
      this.#tokens += tokens;
    } finally {
      if (isPart) library.memoryRemove(this.#memory, spareSequence, 0, -1);
      library.memoryRemove(this.#memory, sequence, from, from + tokens);
    }
  }

  /**
   * Copies the cells in a place, up to a position, into a sequence. They replace its own cells, or only those in the
   * same range where the place holds a part. An empty place is fine, as on a stage where a step has failed.
   *
   * @throws SkeinError `engine-failed` when there are not enough free cells for all of it
   */
  swapIn(place: number, sequence: number, before: number): void {
    const { library, context, spareSequence } = this.#options;
    const swapped = this.#swapped.get(place);
    if (swapped === undefined) return;
    const { state, tokens, partFrom } = swapped;
    const target = partFrom === undefined ? sequence : spareSequence;
    if (tokens === 0) return;
    if (partFrom !== undefined) library.memoryRemove(this.#memory, sequence, partFrom, partFrom + tokens);
    if (library.sequenceStateSet(context, state, state.byteLength, target) !== state.byteLength) {
      throw new SkeinError('engine-failed', 'llama.cpp could not read a sequence from main memory');
    }
    if (partFrom === undefined) {
      library.memoryRemove(this.#memory, sequence, before, -1);
      return;
    }
    library.memoryCopy(this.#memory, spareSequence, sequence, partFrom, Math.min(before, partFrom + tokens));
    library.memoryRemove(this.#memory, spareSequence, 0, -1);
  }

  discard(place: number): void {
    const swapped = this.#swapped.get(place);
    if (swapped === undefined) return;
    this.#swapped.delete(place);
    this.#tokens -= swapped.tokens;
    if (swapped.tokens > 0) this.#spare = swapped.state.buffer;
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
