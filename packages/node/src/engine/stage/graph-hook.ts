import { SkeinError } from '@skein/protocol';

import type { CallbackPointer, Libllama, TensorPointer } from '../libllama/libllama.ts';

export interface GraphHookOptions {
  /**
   * Tensor with the hidden rows that leave the stage's last layer. They are copied out, and the split of the graph that
   * it lies in ends there: later tensors (norm, un-embedding) are computed only where ggml's scheduler put them into a
   * split of their own, on another backend, and are dropped then. Absent on the tail.
   */
  readonly hiddenTensor?: string | undefined;
  /**
   * Tensor that is overwritten with the rows that came in, for architectures whose graph would scale them a second time.
   * Absent where the graph takes hidden rows as they are.
   */
  readonly inputTensor?: string | undefined;
}

/** The rows of one decode, by which its graph is known again: graphs of as many rows have their tensors in one order. */
export interface ExpectedRows {
  readonly rows: number;
  /** Size of the hidden rows, in bytes. */
  readonly bytes: number;
  /** Hidden rows that come in. Default: token ids do. */
  readonly input?: Uint8Array | undefined;
}

/**
 * A stage's access to llama.cpp's graph: `cb_eval`, which llama.cpp asks about every tensor before it is computed, in the
 * graph's order, and calls for the wanted ones after.
 *
 * A tensor's name costs a call, and a GPU waits for all of them. So the hook remembers, for each number of rows, which
 * asks were for the wanted tensors, and looks at names there alone. A graph that has them elsewhere shows by that: see
 * {@link hasMissed}.
 */
export class GraphHook {
  readonly callback: CallbackPointer;
  readonly #library: Libllama;
  readonly #wanted: ReadonlySet<string>;
  /** Numbers of the asks for the wanted tensors, by the number of rows. */
  readonly #known = new Map<number, ReadonlySet<number>>();
  #expected: ExpectedRows = { rows: 0, bytes: 0 };
  #asks = 0;
  /** The asks at which to look at names in this decode: undefined for all. */
  #places: ReadonlySet<number> | undefined;
  #hasSkipped = false;
  readonly #found = new Map<string, number>();
  #hidden: Uint8Array | undefined;
  #fault: string | undefined;

  constructor(library: Libllama, { hiddenTensor, inputTensor }: GraphHookOptions) {
    this.#library = library;
    this.#wanted = new Set([hiddenTensor, inputTensor].filter((name) => name !== undefined));
    this.callback = library.evalCallback((tensor, ask) => {
      if (ask) return this.#isWanted(tensor);
      return library.tensorName(tensor) === inputTensor ? this.#overwrite(tensor) : this.#copyOut(tensor);
    });
  }

  /** Prepares for a decode. */
  expect(expected: ExpectedRows): void {
    this.#expected = expected;
    this.#places = this.#known.get(expected.rows);
    this.#asks = 0;
    this.#hasSkipped = false;
    this.#found.clear();
    this.#hidden = undefined;
    this.#fault = undefined;
  }

  /**
   * Whether the decode since {@link expect} went past a wanted tensor, which lay before the remembered place. Undo it
   * then, call {@link expectAgain}, and decode once more.
   */
  get hasMissed(): boolean {
    return this.#hasSkipped && this.#found.size < this.#wanted.size;
  }

  /** Prepares for the same decode, and forgets where tensors were in graphs of as many rows. */
  expectAgain(): void {
    this.#known.delete(this.#expected.rows);
    this.expect(this.#expected);
  }

  /**
   * Checks the graph of the decode since {@link expect}, and remembers where its tensors were.
   *
   * @throws SkeinError `engine-failed` when it lacked a tensor or had one of another size
   */
  check(): void {
    const missing = [...this.#wanted].find((name) => !this.#found.has(name));
    const fault = this.#fault ?? (missing === undefined ? undefined : `its graph has no tensor ${missing}`);
    if (fault !== undefined) throw new SkeinError('engine-failed', `this model can not be split: ${fault}`);
    this.#known.set(this.#expected.rows, new Set(this.#found.values()));
  }

  /** Returns the hidden rows of the decode since {@link expect}. The caller owns them. */
  take(): Uint8Array {
    const hidden = this.#hidden ?? new Uint8Array(0);
    this.#hidden = undefined;
    return hidden;
  }

  #isWanted(tensor: TensorPointer): boolean {
    const place = this.#asks;
    this.#asks += 1;
    if (this.#places !== undefined && !this.#places.has(place)) {
      this.#hasSkipped = true;
      return false;
    }
    const name = this.#library.tensorName(tensor);
    if (!this.#wanted.has(name)) {
      // In another graph: what lies behind this is found by its name.
      this.#places = undefined;
      return false;
    }
    this.#found.set(name, place);
    return true;
  }

  // Nothing may be thrown through llama.cpp's frames, so both note a fault for check() and say how the graph goes on.

  #overwrite(tensor: TensorPointer): boolean {
    const { input } = this.#expected;
    if (input === undefined) return true;
    if (this.#fits(tensor, input.byteLength)) this.#library.tensorSet(tensor, input, 0, input.byteLength);
    return true;
  }

  // False ends the split that is being computed, and no later one.
  #copyOut(tensor: TensorPointer): boolean {
    const { bytes } = this.#expected;
    if (this.#fits(tensor, bytes)) {
      this.#hidden = new Uint8Array(bytes);
      this.#library.tensorGet(tensor, this.#hidden, 0, bytes);
    }
    return false;
  }

  #fits(tensor: TensorPointer, bytes: number): boolean {
    const actual = this.#library.tensorBytes(tensor);
    if (actual === bytes) return true;
    this.#fault = `a hidden state has ${actual} bytes where ${bytes} were due`;
    return false;
  }
}
