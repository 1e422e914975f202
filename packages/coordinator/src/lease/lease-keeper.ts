import type { Mesh } from '@skein/mesh';
import { Observers, toLog, type KnownLease, type Lease, type Logger } from '@skein/protocol';

import type { Schedule } from '../timers.ts';
import { Candidate, type LeaseTimes, type LeaseView } from './candidate.ts';

/** The place where a coordinator writes down the lease that it is about to take. */
export interface LeaseStore {
  /** Reads what was written last; undefined where nothing was. */
  read(logger: Logger): Promise<Lease | undefined>;
  /** Resolves once the lease is safe from a power cut; rejects when it can't be written. */
  write(lease: Lease): Promise<void>;
}

/** A store of a coordinator without a data directory. */
export const forgetfulLeases: LeaseStore = {
  read: () => Promise.resolve(undefined),
  write: () => Promise.resolve(),
};

export interface LeaseKeeperComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'connectedPeers' | 'membership' | 'peerId' | 'updateCard'>;
  readonly store: LeaseStore;
  readonly logger: Logger;
  /** Returns milliseconds of a monotonic clock. */
  readonly elapsedMs: () => number;
  readonly schedule: Schedule;
  readonly times?: Partial<LeaseTimes> | undefined;
}

/** Pause between two looks at the mesh, beside those at every change of a card. */
const lookMs = 250;

/**
 * A coordinator's part in the lease of the mesh: it has its {@link Candidate} look at the cards, writes down what that takes,
 * and shows it on the own card.
 */
export class LeaseKeeper {
  readonly #components: LeaseKeeperComponents;
  readonly #observers = new Observers();
  #candidate: Candidate | undefined;
  #timer: Disposable | undefined;
  #unwatch: (() => void) | undefined;
  #isStopped = false;
  #shownCard: string | undefined;
  #shownLease: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(components: LeaseKeeperComponents) {
    this.#components = components;
  }

  /** The lease by which this coordinator places now; undefined while it must not. */
  get lease(): Lease | undefined {
    return this.#candidate?.held(this.#components.elapsedMs());
  }

  /** The lease by which this coordinator places, or may go on to once it has listened after a freeze. */
  get tenure(): Lease | undefined {
    return this.#candidate?.tenure;
  }

  /** The lease of another coordinator that is there and places, as far as this one knows. */
  get followed(): Lease | undefined {
    const known = this.#candidate?.known;
    if (known === undefined || known.holder === this.#components.mesh.peerId) return undefined;
    return this.#components.mesh.cards.snapshot().some(({ peer }) => peer === known.holder) ? known : undefined;
  }

  /**
   * Reads the last lease and begins to look.
   *
   * @throws SkeinError `disk-failed` when that can't be read
   */
  async start(): Promise<void> {
    const { mesh, store, logger, times } = this.#components;
    const saved = await store.read(logger);
    const { joinedAt } = mesh.membership.certificate;
    this.#candidate = new Candidate({ self: { peer: mesh.peerId, joinedAt }, saved, times });
    this.#unwatch = mesh.cards.onChange(() => this.#look());
    this.#tick();
  }

  /** Stops looking, and gives the lease up. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.[Symbol.dispose]();
    this.#unwatch?.();
    await this.#writing;
    this.#candidate = undefined;
  }

  /** Calls back when {@link tenure} or {@link followed} may have changed. Returns a function that ends that. */
  onChange(listener: () => void): () => void {
    return this.#observers.add(listener, toLog(this.#components.logger, 'the lease'));
  }

  /** Notes that a peer has refused a command because of a lease that it had accepted before. */
  refused(accepted: Lease): void {
    this.#candidate?.refused(accepted);
    this.#look();
  }

  #tick(): void {
    if (this.#isStopped) return;
    this.#look();
    this.#timer = this.#components.schedule(lookMs, () => this.#tick());
  }

  #look(): void {
    const candidate = this.#candidate;
    if (candidate === undefined || this.#isStopped) return;
    const lease = candidate.look(this.#components.elapsedMs(), this.#view());
    if (lease !== undefined) this.#writing = this.#write(candidate, lease);
    this.#show();
  }

  #view(): LeaseView {
    const { mesh } = this.#components;
    return {
      cards: mesh.cards.snapshot().filter(({ peer }) => peer !== mesh.peerId),
      isGathering: mesh.absent().isGathering,
      authority: mesh.membership.revocations.holder,
    };
  }

  async #write(candidate: Candidate, lease: Lease): Promise<void> {
    const { store, logger, elapsedMs } = this.#components;
    try {
      await store.write(lease);
      candidate.written(lease);
    } catch (error) {
      logger.error(
        { error, epoch: lease.epoch },
        'this coordinator can not write down that it places, and so does not',
      );
      candidate.notWritten(elapsedMs());
    }
    this.#show();
  }

  /** Puts the lease on the card, and tells the observers what has changed. */
  #show(): void {
    if (this.#isStopped) return;
    const { mesh, logger } = this.#components;
    const shown = this.#describe();
    const card = JSON.stringify(shown);
    if (card !== this.#shownCard) {
      this.#shownCard = card;
      mesh.updateCard({ lease: shown });
    }
    const lease = JSON.stringify([this.lease, this.tenure, this.followed]);
    if (lease === this.#shownLease) return;
    this.#shownLease = lease;
    const placer = this.lease ?? this.followed;
    logger.info({ epoch: placer?.epoch, holder: placer?.holder, places: this.lease !== undefined }, 'lease');
    this.#observers.notify();
  }

  /** Describes the greatest lease for the own card. One of ours that we do not hold is not claimed. */
  #describe(): KnownLease | undefined {
    const { mesh } = this.#components;
    const { lease } = this;
    if (lease !== undefined) return { ...lease, isHolderSeen: true };
    const known = this.#candidate?.known;
    if (known === undefined || known.holder === mesh.peerId) return undefined;
    return { ...known, isHolderSeen: mesh.connectedPeers().includes(known.holder) };
  }
}
