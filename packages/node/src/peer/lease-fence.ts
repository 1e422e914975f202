import { mostBelievableEpoch, SkeinError, type Lease, type LeaseTelling } from '@skein/protocol';

export interface LeaseFenceComponents {
  /** Writes a lease to the disk; rejects unless it is safe there. */
  readonly save: (lease: Lease) => Promise<void>;
  /** Called with each lease as soon as it counts. */
  readonly onAccepted?: ((lease: Lease) => void) | undefined;
  /** The lease that was saved last; undefined where none was. */
  readonly saved?: Lease | undefined;
  /** Returns what the other members tell of leases: a peer that has accepted none goes by that. Default: nothing. */
  readonly told?: (() => readonly LeaseTelling[]) | undefined;
}

/**
 * The fence of one peer against coordinators that were replaced. It accepts leases of growing epochs alone, each on the
 * disk before it counts, so that what it has accepted never falls, restarts included. In one epoch it accepts one
 * holder, the first: of two that claim the same epoch, as after a network was cut, the other one has to take a greater.
 */
export class LeaseFence {
  readonly #save: (lease: Lease) => Promise<void>;
  readonly #onAccepted: (lease: Lease) => void;
  readonly #told: () => readonly LeaseTelling[];
  #accepted: Lease | undefined;
  /** Epoch since which no other coordinator was accepted than the present holder. */
  #since: number;
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ save, saved, onAccepted = () => undefined, told = () => [] }: LeaseFenceComponents) {
    this.#save = save;
    this.#onAccepted = onAccepted;
    this.#told = told;
    this.#accepted = saved;
    this.#since = saved?.epoch ?? 0;
  }

  /** The greatest lease that was accepted; undefined before the first one. */
  get accepted(): Lease | undefined {
    return this.#accepted;
  }

  /**
   * Accepts a lease, or finds that it is the accepted one. Do what came with it only once this has resolved.
   *
   * @throws SkeinError `stale-lease` where a greater one was accepted, or one of the same epoch from another holder;
   * `not-permitted` for an epoch that no take-over can have reached; `disk-failed` when it can't be written, and nothing is accepted then
   */
  async admit(offered: Lease): Promise<void> {
    if (isSame(offered, this.#accepted)) return;
    const admitted = this.#writing.then(async () => await this.#admit(offered));
    this.#writing = admitted.catch(() => undefined);
    await admitted;
  }

  /**
   * Admits the lease with which a coordinator commands. Call {@link assertObeyed} right before its command is obeyed:
   * another lease may be accepted meanwhile.
   *
   * @param lease left out by coordinators that know of none; they are obeyed until a lease was accepted
   * @throws SkeinError as {@link admit} does; `not-permitted` for the lease of another coordinator
   */
  async admitFrom(coordinator: string, lease: Lease | undefined): Promise<void> {
    if (lease === undefined) {
      if (this.#accepted !== undefined) throw staleLease(this.#accepted);
    } else if (lease.holder !== coordinator) {
      throw new SkeinError('not-permitted', 'a coordinator shows the lease of another one');
    } else await this.admit(lease);
  }

  /**
   * Checks that a coordinator, whose lease was admitted before, was not replaced since, not even for a time.
   *
   * @param lease the lease that was admitted; left out by coordinators that knew of none
   * @throws SkeinError `stale-lease` where another one's was accepted meanwhile
   */
  assertObeyed(coordinator: string, lease: Lease | undefined): void {
    const accepted = this.#accepted;
    if (accepted === undefined) return;
    if (accepted.holder !== coordinator || (lease !== undefined && lease.epoch < this.#since))
      throw staleLease(accepted);
  }

  async #admit({ epoch, holder }: Lease): Promise<void> {
    const accepted = this.#accepted;
    if (isSame({ epoch, holder }, accepted)) return;
    if (accepted !== undefined && epoch <= accepted.epoch) throw staleLease(accepted);
    if (epoch > mostBelievableEpoch(accepted, this.#told())) {
      throw new SkeinError(
        'not-permitted',
        `a coordinator claims epoch ${epoch}, which no take-over can have reached; revoke it with \`skein revoke\``,
        { details: { epoch, holder } },
      );
    }
    try {
      await this.#save({ epoch, holder });
    } catch (error) {
      throw new SkeinError(
        'disk-failed',
        'this machine can not write down whom it obeys, and so takes no stages; free space on its disk',
        { cause: error },
      );
    }
    if (holder !== accepted?.holder) this.#since = epoch;
    this.#accepted = { epoch, holder };
    this.#onAccepted({ epoch, holder });
  }
}

function isSame({ epoch, holder }: Lease, other: Lease | undefined): boolean {
  return epoch === other?.epoch && holder === other.holder;
}

function staleLease({ epoch, holder }: Lease): SkeinError {
  return new SkeinError(
    'stale-lease',
    'another coordinator places models now; `skein status` shows which one, and requests go to that',
    { details: { epoch, holder } },
  );
}
