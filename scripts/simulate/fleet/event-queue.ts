/** Events in the order of their times; those of one time in the order in which they were added. */
export class EventQueue {
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #actions: (() => void)[] = [];
  #added = 0;
  #nowMs = 0;

  /** Time of the event that runs, in milliseconds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  at(timeMs: number, action: () => void): void {
    let place = this.#times.length;
    const order = this.#added;
    this.#added += 1;
    this.#set(place, timeMs, order, action);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#isBefore(place, parent)) break;
      this.#swap(place, parent);
      place = parent;
    }
  }

  after(delayMs: number, action: () => void): void {
    this.at(this.#nowMs + delayMs, action);
  }

  /** Runs all events, and those that they add. */
  run(): void {
    for (let action = this.#take(); action !== undefined; action = this.#take()) action();
  }

  #take(): (() => void) | undefined {
    const action = this.#actions[0];
    if (action === undefined) return undefined;
    this.#nowMs = this.#times[0] ?? this.#nowMs;
    this.#swap(0, this.#times.length - 1);
    this.#times.pop();
    this.#orders.pop();
    this.#actions.pop();
    this.#sink();
    return action;
  }

  #sink(): void {
    for (let place = 0; ;) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2]) {
        if (child < this.#times.length && this.#isBefore(child, least)) least = child;
      }
      if (least === place) return;
      this.#swap(place, least);
      place = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const difference = (this.#times[one] ?? 0) - (this.#times[other] ?? 0);
    return difference < 0 || (difference === 0 && (this.#orders[one] ?? 0) < (this.#orders[other] ?? 0));
  }

  #set(place: number, timeMs: number, order: number, action: () => void): void {
    this.#times[place] = timeMs;
    this.#orders[place] = order;
    this.#actions[place] = action;
  }

  #swap(one: number, other: number): void {
    swap(this.#times, one, other);
    swap(this.#orders, one, other);
    swap(this.#actions, one, other);
  }
}

function swap(list: unknown[], one: number, other: number): void {
  const [first, second] = [list[one], list[other]];
  if (first === undefined || second === undefined) return;
  list[one] = second;
  list[other] = first;
}
