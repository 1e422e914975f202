/** The holders of a model that still count as honest, in the order in which to ask them. */
export class TrustedHolders {
  #trusted: readonly string[];
  #rejected: readonly string[] = [];
  readonly #suspected = new Set<string>();

  constructor(holders: readonly string[]) {
    this.#trusted = holders;
  }

  get trusted(): readonly string[] {
    return this.#trusted;
  }

  get rejected(): readonly string[] {
    return this.#rejected;
  }

  /**
   * Notes that together these holders sent wrong bytes, the last of them last. A lone sender is excluded. Among several
   * the liar is unknown: the last one is asked next, and a holder that is among the senders for the second time is
   * excluded.
   *
   * @returns whether any holder is left to ask
   */
  blame(senders: readonly string[]): boolean {
    const isOut = (holder: string) => senders.includes(holder) && (senders.length === 1 || this.#suspected.has(holder));
    const last = senders.at(-1);
    const inOrder = this.#trusted.toSorted((first, second) => Number(second === last) - Number(first === last));
    this.#rejected = [...this.#rejected, ...inOrder.filter(isOut)];
    this.#trusted = inOrder.filter((holder) => !isOut(holder));
    for (const sender of senders) this.#suspected.add(sender);
    return senders.length > 0 && this.#trusted.length > 0;
  }
}
