/** Something that happens at a time of the simulated world. */
export interface Event {
  readonly atMs: number;
  /** Number that grows with each event: of two at one time, the first one comes first. */
  readonly order: number;
  readonly run: () => void;
}

/** Events by time: a binary heap. */
export class EventQueue {
  readonly #heap: Event[] = [];

  /** Returns the next event; undefined when there is none. */
  peek(): Event | undefined {
    return this.#heap[0];
  }

  push(event: Event): void {
    const heap = this.#heap;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfEarlier(index, parent)) return;
      index = parent;
    }
  }

  /** Removes the next event. */
  pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    let index = 0;
    for (;;) {
      const [left, right] = [2 * index + 1, 2 * index + 2];
      if (left >= heap.length) return;
      const child = right < heap.length && this.#isEarlier(right, left) ? right : left;
      if (!this.#swapIfEarlier(child, index)) return;
      index = child;
    }
  }

  #isEarlier(one: number, other: number): boolean {
    const [first, second] = [this.#heap[one], this.#heap[other]];
    if (first === undefined || second === undefined) return false;
    return first.atMs < second.atMs || (first.atMs === second.atMs && first.order < second.order);
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    const heap = this.#heap;
    const [below, above] = [heap[child], heap[parent]];
    if (below === undefined || above === undefined || !this.#isEarlier(child, parent)) return false;
    heap[child] = above;
    heap[parent] = below;
    return true;
  }
}
