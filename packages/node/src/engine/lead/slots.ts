import { invariant, SkeinError } from '@skein/protocol';

/** The use of a slot: by a sequence that runs, or by a finished one that is kept for its prefix. */
type SlotUse = 'running' | 'kept';

/**
 * The slots of a KV cache with their uses. The rows of a slot attend to all of its cells, so two sequences in one slot
 * would read each other's text. A used slot is given to no other sequence, and when all are used none is made up.
 */
export class Slots {
  /** Free slots. The last one is handed out next. */
  readonly #free: number[];
  readonly #uses = new Map<number, SlotUse>();

  /** @param count slots that the stages tell apart; numbered from 0 */
  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, index) => count - 1 - index);
  }

  /** Number of slots that are not used. */
  get free(): number {
    return this.#free.length;
  }

  /**
   * Takes a free slot for a sequence that runs.
   *
   * @throws SkeinError `internal` when none is free
   */
  take(): number {
    const slot = invariant(this.#free.pop(), 'a slot is free where one is taken');
    this.#uses.set(slot, 'running');
    return slot;
  }

  /**
   * Keeps the slot of a sequence that has ended.
   *
   * @throws SkeinError `internal` unless a sequence runs there
   */
  keep(slot: number): void {
    this.#assertUse(slot, ['running']);
    this.#uses.set(slot, 'kept');
  }

  /**
   * Takes a kept slot for a sequence that runs.
   *
   * @throws SkeinError `internal` unless it is kept
   */
  takeOver(slot: number): void {
    this.#assertUse(slot, ['kept']);
    this.#uses.set(slot, 'running');
  }

  /**
   * Gives up a slot, whose cells have to be empty.
   *
   * @throws SkeinError `internal` when it is free already
   */
  giveUp(slot: number): void {
    this.#assertUse(slot, ['running', 'kept']);
    this.#uses.delete(slot);
    this.#free.push(slot);
  }

  #assertUse(slot: number, uses: readonly SlotUse[]): void {
    const use = this.#uses.get(slot);
    if (use !== undefined && uses.includes(use)) return;
    throw new SkeinError('internal', `slot ${slot} is ${use ?? 'free'} where it should be ${uses.join(' or ')}`);
  }
}
