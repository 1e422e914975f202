import { SkeinError } from '@skein/protocol';

import type { CallbackPointer, Libllama } from '../libllama/libllama.ts';

/**
 * Takes the hidden rows out of a stage. llama.cpp's `cb_eval` is asked about every tensor of the graph: at the one that
 * leaves the stage's last layer it copies the data and ends the graph, so nothing behind it (norm, un-embedding) is
 * computed.
 */
export class HiddenTap {
  readonly callback: CallbackPointer;
  #expectedBytes = 0;
  #rows: Uint8Array | undefined;
  #wrongBytes: number | undefined;

  constructor(library: Libllama, tensorName: string) {
    this.callback = library.evalCallback((tensor, ask) => {
      if (ask) return library.tensorName(tensor) === tensorName;
      const bytes = library.tensorBytes(tensor);
      // Nothing may be thrown through llama.cpp's frames: take() reports it.
      if (bytes === this.#expectedBytes) {
        const rows = new Uint8Array(bytes);
        library.tensorGet(tensor, rows, 0, bytes);
        this.#rows = rows;
      } else {
        this.#wrongBytes = bytes;
      }
      return false;
    });
  }

  /** Announces how many bytes the next decode's hidden rows have. */
  expect(bytes: number): void {
    this.#expectedBytes = bytes;
    this.#rows = undefined;
    this.#wrongBytes = undefined;
  }

  /** The rows of the decode since `expect`. The caller owns them. */
  take(): Uint8Array {
    const rows = this.#rows;
    this.#rows = undefined;
    if (rows !== undefined) return rows;
    throw new SkeinError(
      'engine-failed',
      this.#wrongBytes === undefined
        ? 'the graph has no tensor for the hidden state: this architecture can not be split'
        : `the hidden state has ${this.#wrongBytes} bytes where ${this.#expectedBytes} were due`,
    );
  }
}
