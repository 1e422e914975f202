import type { GenerationEvent, SkeinError } from '@skein/protocol';

/** Events of one generation on their way from the engine to whoever reads them. */
export class GenerationEvents implements AsyncIterable<GenerationEvent> {
  // Unbounded, but no longer than the generation: a reader that falls behind holds at most its own completion.
  readonly #events: GenerationEvent[] = [];
  #failure: SkeinError | undefined;
  #wake: (() => void) | undefined;

  push(event: GenerationEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  /** Ends the iteration with an error, after the events that came before. */
  fail(error: SkeinError): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) {
        yield event;
      } else if (this.#failure !== undefined) {
        throw this.#failure;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
