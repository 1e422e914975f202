/** Turns of the event loop, handed out one at a time: steps of several long jobs never add up in one turn. */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Resolves in a later turn of the event loop, which no other caller gets. First come, first served. */
  async next(): Promise<void> {
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn.resolve);
    if (this.#waiting.length === 1) setImmediate(() => this.#give());
    await turn.promise;
  }

  #give(): void {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) setImmediate(() => this.#give());
  }
}
