import type { SkeinError } from '@skein/protocol';

/**
 * Events of one generation on their way from the engine to their reader, each a whole frame. Each iteration yields all
 * that have arrived, so that a slow reader catches up with one write.
 */
export class EventFrames implements AsyncIterable<Uint8Array> {
  // Unbounded, but no longer than the generation: a reader that falls behind holds at most its own completion.
  #frames: Uint8Array[] = [];
  #end: { readonly error?: SkeinError } | undefined;
  #wake: (() => void) | undefined;

  /** Adds a frame. Copies its bytes, which may be a view of a much larger chunk. */
  push(frame: Uint8Array): void {
    this.#frames.push(frame.slice());
    this.#wake?.();
  }

  /** Ends the iteration after the frames that came before. */
  end(): void {
    this.#finish({});
  }

  /** Ends the iteration with an error, after the frames that came before. The first end counts. */
  fail(error: SkeinError): void {
    this.#finish({ error });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      if (this.#frames.length > 0) {
        const frames = this.#frames;
        this.#frames = [];
        yield frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }

  #finish(end: { readonly error?: SkeinError }): void {
    this.#end ??= end;
    this.#wake?.();
  }
}
