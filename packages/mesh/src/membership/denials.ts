/** What was refused, of one kind and one remote host. */
export interface Denial {
  /** An error code. */
  readonly reason: string;
  /** Where it came from. */
  readonly address: string | undefined;
  /** Who it was, where that was proved. */
  readonly peer: string | undefined;
  /** Denials alike that this one stands for. */
  readonly count: number;
}

const windowMs = 60_000;
/** Hosts and reasons told apart; the others are counted together. */
const maxKinds = 256;

/**
 * Tells of denials without being flooded by them: the first of a kind at once, those that follow within a minute together
 * and by their number.
 */
export class Denials {
  readonly #tell: (denial: Denial) => void;
  readonly #open = new Map<
    string,
    { readonly denial: Omit<Denial, 'count'>; count: number; readonly timer: NodeJS.Timeout }
  >();

  constructor(tell: (denial: Denial) => void) {
    this.#tell = tell;
  }

  add(denial: Omit<Denial, 'count'>): void {
    const isOther = this.#open.size >= maxKinds;
    const known = isOther ? { reason: denial.reason, address: undefined, peer: undefined } : denial;
    const key = `${known.reason} ${known.address}`;
    const entry = this.#open.get(key);
    if (entry !== undefined) {
      entry.count += 1;
      return;
    }
    this.#tell({ ...known, count: 1 });
    const timer = setTimeout(() => this.#close(key), windowMs);
    timer.unref();
    this.#open.set(key, { denial: known, count: 0, timer });
  }

  /** Tells of what is still counted. */
  stop(): void {
    for (const key of this.#open.keys()) this.#close(key);
  }

  #close(key: string): void {
    const entry = this.#open.get(key);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#open.delete(key);
    // Of many, no one peer.
    if (entry.count > 0) this.#tell({ ...entry.denial, peer: undefined, count: entry.count });
  }
}
