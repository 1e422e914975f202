/** A claim on a model's time. */
export interface Claim {
  /** Name of its principal. */
  readonly principal: string;
  /** Tokens that it is expected to cost, more than 0. */
  readonly tokens: number;
  /** Place among the claims of its principal, the least first. Default 0. */
  readonly rank?: number;
}

interface Backlog<Item> {
  /** Tokens that the principal has been charged, on the clock of {@link FairQueue}. */
  counter: number;
  readonly waiting: { readonly item: Item; readonly arrival: number }[];
}

/**
 * A queue that is fair between principals by tokens. It takes the claim of the principal that was charged least, and the
 * claims of one principal by their ranks, and else in their order. Of two principals that both wait, neither gets more
 * than the other by the tokens of more than one claim and of the corrections since.
 *
 * This is the virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024), with the
 * expected tokens charged when a claim is taken and corrected once they are known. A principal that comes back after a
 * pause starts where those are that waited meanwhile: it can't save up turns.
 */
export class FairQueue<Item extends Claim> {
  readonly #backlogs = new Map<string, Backlog<Item>>();
  #arrivals = 0;
  #size = 0;
  /** Greatest counter that a taken claim's principal had. */
  #virtualTime = 0;

  /** Claims that wait. */
  get size(): number {
    return this.#size;
  }

  /** Returns the number of a principal's claims that wait. */
  sizeOf(principal: string): number {
    return this.#backlogs.get(principal)?.waiting.length ?? 0;
  }

  /** Queues a claim behind those of its principal whose rank is no greater. */
  add(item: Item): void {
    const backlog = this.#backlog(item.principal);
    if (backlog.waiting.length === 0) backlog.counter = Math.max(backlog.counter, this.#virtualTime);
    const { waiting } = backlog;
    const before = waiting.findLastIndex(({ item: { rank = 0 } }) => rank <= (item.rank ?? 0));
    waiting.splice(before + 1, 0, { item, arrival: this.#arrivals++ });
    this.#size += 1;
  }

  /** Removes a claim that is not taken. Returns false when it does not wait. */
  remove(item: Item): boolean {
    const backlog = this.#backlogs.get(item.principal);
    const index = backlog?.waiting.findIndex((one) => one.item === item) ?? -1;
    if (backlog === undefined || index === -1) return false;
    backlog.waiting.splice(index, 1);
    this.#size -= 1;
    return true;
  }

  /** The claim whose turn it is; undefined when none waits. */
  get next(): Item | undefined {
    return this.#nextBacklog()?.waiting[0]?.item;
  }

  /** Removes the claim whose turn it is, and charges its principal the expected tokens. */
  take(): Item | undefined {
    const backlog = this.#nextBacklog();
    const item = backlog?.waiting.shift()?.item;
    if (backlog === undefined || item === undefined) return undefined;
    this.#size -= 1;
    this.#virtualTime = Math.max(this.#virtualTime, backlog.counter);
    backlog.counter += item.tokens;
    this.#forgetPaid();
    return item;
  }

  /** Corrects the charge for a claim that was taken by so many tokens more, or fewer. */
  correct(principal: string, tokens: number): void {
    this.#backlog(principal).counter += tokens;
  }

  /** Lists all claims in the order in which they would be taken if none came or left, and no charge were corrected. */
  inOrder(): Item[] {
    const waiting = [...this.#backlogs.values()].flatMap((backlog) => {
      let counter = backlog.counter;
      return backlog.waiting.map(({ item, arrival }) => {
        const start = counter;
        counter += item.tokens;
        return { item, arrival, start };
      });
    });
    return waiting.sort((one, other) => one.start - other.start || one.arrival - other.arrival).map(({ item }) => item);
  }

  #backlog(principal: string): Backlog<Item> {
    const known = this.#backlogs.get(principal);
    if (known !== undefined) return known;
    const backlog = { counter: this.#virtualTime, waiting: [] };
    this.#backlogs.set(principal, backlog);
    return backlog;
  }

  /** Returns the backlog with the least counter among those that wait; of equal ones that whose claim came first. */
  #nextBacklog(): Backlog<Item> | undefined {
    let [best, bestArrival]: [Backlog<Item> | undefined, number] = [undefined, Infinity];
    for (const backlog of this.#backlogs.values()) {
      const arrival = backlog.waiting[0]?.arrival;
      if (arrival === undefined) continue;
      const difference = backlog.counter - (best?.counter ?? Infinity);
      if (difference < 0 || (difference === 0 && arrival < bestArrival)) [best, bestArrival] = [backlog, arrival];
    }
    return best;
  }

  /** Forgets principals that would start at the virtual time anyway. */
  #forgetPaid(): void {
    for (const [principal, { counter, waiting }] of this.#backlogs) {
      if (waiting.length === 0 && counter <= this.#virtualTime) this.#backlogs.delete(principal);
    }
  }
}
