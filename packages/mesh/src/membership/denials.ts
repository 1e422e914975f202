/** Refusals of one kind and one remote host. */
export interface Denial {
  /** Error code of the refusal. */
  readonly reason: string;
  /** Address of the remote host. */
  readonly address: string | undefined;
  /** Peer id of the remote, where it was proved. */
  readonly peer: string | undefined;
  /** Number of equal denials that this one stands for. */
  readonly count: number;
}

const windowMs = 60_000;
/** Most hosts and reasons that are told apart; the others are counted together. */
const maxKinds = 256;

/**
 * A report of denials that can't be flooded: the first of a kind is reported at once, those that follow within a minute
 * together and by their number.
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

  /** Reports the denials that are still counted. */
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
