import { Observers, onAbort, toLog, type Card, type Logger } from '@skein/protocol';

/** The live view of all members, which everyone sees alike. */
export interface Cards {
  /** Returns the newest card of every member present, our own included and first. */
  snapshot(): readonly Card[];
  /**
   * Calls `listener` after every change of a card's content or of the set of cards. Returns a function that ends that.
   * An error of the listener is logged and affects nobody else.
   */
  onChange(listener: () => void): () => void;
  /**
   * Yields the snapshot now and after every change; changes during one iteration are seen together. Ends when the
   * signal aborts or the mesh stops.
   */
  watch(options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly Card[]>;
}

/** The public view of the cards that `read` returns. */
export class CardsView implements Cards {
  readonly #read: () => readonly Card[];
  readonly #logger: Logger;
  readonly #observers = new Observers();
  readonly #ended = new AbortController();

  constructor(read: () => readonly Card[], logger: Logger) {
    this.#read = read;
    this.#logger = logger;
  }

  snapshot(): readonly Card[] {
    return this.#read();
  }

  onChange(listener: () => void): () => void {
    return this.#observers.add(listener, toLog(this.#logger, 'the cards'));
  }

  async *watch(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<readonly Card[], void, undefined> {
    const signals = [this.#ended.signal, ...(options.signal === undefined ? [] : [options.signal])];
    const signal = AbortSignal.any(signals);
    let changed = Promise.withResolvers<void>();
    const wake = (): void => changed.resolve();
    const unsubscribe = this.onChange(wake);
    using _abort = onAbort(signal, wake);
    try {
      while (!signal.aborted) {
        changed = Promise.withResolvers<void>();
        yield this.snapshot();
        if (!signal.aborted) await changed.promise;
      }
    } finally {
      unsubscribe();
    }
  }

  /** Notifies all listeners of a change. */
  notify(): void {
    this.#observers.notify();
  }

  /** Ends all watching. */
  close(): void {
    this.#ended.abort();
    this.#observers.clear();
  }
}
