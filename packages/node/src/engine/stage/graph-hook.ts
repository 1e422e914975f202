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

/**
 * A stage's access to llama.cpp's graph: `cb_eval`, which llama.cpp asks about every tensor before it is computed, and
 * calls for the wanted ones after.
 */
export class GraphHook {
  readonly callback: CallbackPointer;
  readonly #library: Libllama;
  readonly #options: GraphHookOptions;
  #expectedBytes = 0;
  #input: Uint8Array | undefined;
  #hidden: Uint8Array | undefined;
  #fault: string | undefined;

  constructor(library: Libllama, options: GraphHookOptions) {
    this.#library = library;
    this.#options = options;
    this.callback = library.evalCallback((tensor, ask) => {
      const name = library.tensorName(tensor);
      if (ask) return name === options.hiddenTensor || name === options.inputTensor;
      return name === options.inputTensor ? this.#overwrite(tensor) : this.#copyOut(tensor);
    });
  }

  /** Prepares for a decode: takes the size of its hidden rows, in bytes, and the rows that come in. */
  expect(bytes: number, input: Uint8Array | undefined): void {
    this.#expectedBytes = bytes;
    this.#input = input;
    this.#hidden = undefined;
    this.#fault = undefined;
  }

  /**
   * Checks the graph of the decode since {@link expect}.
   *
   * @throws SkeinError `engine-failed` when it lacked a tensor or had one of another size
   */
  check(): void {
    const missing = this.#options.hiddenTensor !== undefined && this.#hidden === undefined;
    const fault = this.#fault ?? (missing ? 'the graph has no tensor for the hidden state' : undefined);
    if (fault !== undefined) throw new SkeinError('engine-failed', `this model can not be split: ${fault}`);
  }

  /** Returns the hidden rows of the decode since {@link expect}. The caller owns them. */
  take(): Uint8Array {
    const hidden = this.#hidden ?? new Uint8Array(0);
    this.#hidden = undefined;
    return hidden;
  }

  // Nothing may be thrown through llama.cpp's frames, so both note a fault for check() and say how the graph goes on.

  #overwrite(tensor: TensorPointer): boolean {
    if (this.#input === undefined) return true;
    if (this.#fits(tensor, this.#input.byteLength)) {
      this.#library.tensorSet(tensor, this.#input, 0, this.#input.byteLength);
    }
    return true;
  }

  // False ends the split that is being computed, and no later one.
  #copyOut(tensor: TensorPointer): boolean {
    if (this.#fits(tensor, this.#expectedBytes)) {
      this.#hidden = new Uint8Array(this.#expectedBytes);
      this.#library.tensorGet(tensor, this.#hidden, 0, this.#expectedBytes);
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
