import { SkeinError, type Lease } from '@skein/protocol';

export interface LeaseFenceComponents {
  /** Writes a lease to the disk; rejects unless it is safe there. */
  readonly save: (lease: Lease) => Promise<void>;
  /** Called with each lease as soon as it counts. */
  readonly onAccepted?: ((lease: Lease) => void) | undefined;
  /** The lease that was saved last; undefined where none was. */
  readonly saved?: Lease | undefined;
}

/**
 * The fence of one peer against coordinators that were replaced. It accepts leases of growing epochs alone, each on the
 * disk before it counts, so that what it has accepted never falls, restarts included. In one epoch it accepts one
 * holder, the first: of two that claim the same epoch, as after a network was cut, the other one has to take a greater.
 */
export class LeaseFence {
  readonly #save: (lease: Lease) => Promise<void>;
  readonly #onAccepted: (lease: Lease) => void;
  #accepted: Lease | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ save, saved, onAccepted = () => undefined }: LeaseFenceComponents) {
    this.#save = save;
    this.#onAccepted = onAccepted;
    this.#accepted = saved;
  }

  /** The greatest lease that was accepted; undefined before the first one. */
  get accepted(): Lease | undefined {
    return this.#accepted;
  }

  /**
   * Accepts a lease, or finds that it is the accepted one. Do what came with it only once this has resolved.
   *
   * @throws SkeinError `stale-lease` where a greater one was accepted, or one of the same epoch from another holder;
   * `disk-failed` when it can't be written, and nothing is accepted then
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
   * Checks that a coordinator, whose lease was admitted before, was not replaced since.
   *
   * @throws SkeinError `stale-lease` where the accepted lease is another one's
   */
  assertObeyed(coordinator: string): void {
    if (this.#accepted !== undefined && this.#accepted.holder !== coordinator) throw staleLease(this.#accepted);
  }

  async #admit({ epoch, holder }: Lease): Promise<void> {
    const accepted = this.#accepted;
    if (isSame({ epoch, holder }, accepted)) return;
    if (accepted !== undefined && epoch <= accepted.epoch) throw staleLease(accepted);
    try {
      await this.#save({ epoch, holder });
    } catch (error) {
      throw new SkeinError(
        'disk-failed',
        'this machine can not write down whom it obeys, and so takes no stages; free space on its disk',
        { cause: error },
      );
    }
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
