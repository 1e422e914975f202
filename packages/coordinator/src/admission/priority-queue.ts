import { FairQueue, type Claim } from './fair-queue.ts';

/**
 * Urgency of a request. `continued`: the rest of an answer that its client has begun to read. `interactive`: somebody
 * waits for it. `batch`: it may take its time.
 */
export type Priority = 'continued' | 'interactive' | 'batch';

export interface PrioritizedClaim extends Claim {
  readonly priority: Priority;
}

/** Most interactive claims that are taken in a row while a batch waits. */
const interactiveInRow = 7;

/**
 * Fair queues, one for each priority. Continued claims go first: each has waited its turn before. Interactive claims go
 * before batches, but of eight that are taken while both wait one is a batch: none starves.
 */
export class PriorityQueue<Item extends PrioritizedClaim> {
  readonly #lanes = {
    continued: new FairQueue<Item>(),
    interactive: new FairQueue<Item>(),
    batch: new FairQueue<Item>(),
  };
  /** Interactive claims that were taken in a row while a batch waited. */
  #inRow = 0;

  /** Claims that wait. */
  get size(): number {
    const { continued, interactive, batch } = this.#lanes;
    return continued.size + interactive.size + batch.size;
  }

  /** Returns the number of claims that wait with a priority. */
  sizeWith(priority: Priority): number {
    return this.#lanes[priority].size;
  }

  /** Returns the number of claims that a principal has waiting with a priority. */
  sizeOf({ principal, priority }: Pick<Item, 'principal' | 'priority'>): number {
    return this.#lanes[priority].sizeOf(principal);
  }

  add(item: Item): void {
    this.#lanes[item.priority].add(item);
  }

  /** Removes a claim that is not taken. Returns false when it does not wait. */
  remove(item: Item): boolean {
    return this.#lanes[item.priority].remove(item);
  }

  /** The claim whose turn it is; undefined when none waits. */
  get next(): Item | undefined {
    return this.#lanes[this.#nextLane()].next;
  }

  /** Removes the claim whose turn it is, and charges its principal the expected tokens. */
  take(): Item | undefined {
    const lane = this.#nextLane();
    const item = this.#lanes[lane].take();
    if (lane !== 'continued') this.#inRow = lane === 'interactive' && this.#lanes.batch.size > 0 ? this.#inRow + 1 : 0;
    return item;
  }

  /** Corrects the charge for a claim that was taken by so many tokens more, or fewer. */
  correct({ principal, priority }: Item, tokens: number): void {
    this.#lanes[priority].correct(principal, tokens);
  }

  /** Lists all claims in the order in which they would be taken if none came or left, and no charge were corrected. */
  inOrder(): Item[] {
    const interactive = this.#lanes.interactive.inOrder();
    const batch = this.#lanes.batch.inOrder();
    const order = this.#lanes.continued.inOrder();
    let [at, inRow] = [0, this.#inRow];
    for (const claim of batch) {
      const before = interactive.slice(at, at + Math.max(0, interactiveInRow - inRow));
      order.push(...before, claim);
      at += before.length;
      inRow = 0;
    }
    return [...order, ...interactive.slice(at)];
  }

  #nextLane(): Priority {
    const { continued, interactive, batch } = this.#lanes;
    if (continued.size > 0) return 'continued';
    return batch.size > 0 && (interactive.size === 0 || this.#inRow >= interactiveInRow) ? 'batch' : 'interactive';
  }
}
