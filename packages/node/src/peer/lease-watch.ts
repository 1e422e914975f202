import type { Mesh } from '@skein/mesh';
import {
  claimedLease,
  greaterLease,
  isSkeinError,
  mostBelievableEpoch,
  type KnownLease,
  type Lease,
  type Logger,
} from '@skein/protocol';

import type { LeaseFence } from './lease-fence.ts';

export interface LeaseWatchComponents {
  readonly mesh: Pick<Mesh, 'peerId' | 'cards' | 'connectedPeers'>;
  readonly fence: LeaseFence;
  readonly logger: Logger;
  /** Called when what {@link LeaseWatch.describe} returns has changed. */
  readonly onChange: () => void;
}

/**
 * The part of a peer that hears leases: it has the fence accept the greatest one that a coordinator's card claims, so
 * that a replaced coordinator is refused before its successor has sent a single command.
 */
export class LeaseWatch implements Disposable {
  readonly #components: LeaseWatchComponents;
  readonly #unwatch: () => void;
  #refused: Lease | undefined;
  /** Holder of the last claim that was not believed. */
  #unbelieved: string | undefined;
  #shown: string | undefined;

  constructor(components: LeaseWatchComponents) {
    this.#components = components;
    this.#unwatch = components.mesh.cards.onChange(() => this.#look());
    this.#look();
  }

  /** Describes the accepted lease for the peer's card; undefined before there is one. */
  describe(): KnownLease | undefined {
    const { mesh, fence } = this.#components;
    const { accepted } = fence;
    if (accepted === undefined) return undefined;
    const { holder } = accepted;
    return { ...accepted, isHolderSeen: holder === mesh.peerId || mesh.connectedPeers().includes(holder) };
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  #look(): void {
    const { mesh, fence, logger } = this.#components;
    const cards = mesh.cards.snapshot().filter(({ peer }) => peer !== mesh.peerId);
    const most = mostBelievableEpoch(fence.accepted, cards);
    const claims = mesh.cards.snapshot().flatMap((card) => claimedLease(card) ?? []);
    this.#tell(claims.find(({ epoch }) => epoch > most));
    const believed = claims.filter(({ epoch }) => epoch <= most);
    const greatest = believed.reduce<Lease | undefined>(greaterLease, undefined);
    this.#show();
    if (greatest === undefined || greatest.epoch <= (fence.accepted?.epoch ?? 0)) return;
    fence.admit(greatest).then(
      () => {
        this.#refused = undefined;
        this.#show();
      },
      (error: unknown) => {
        // Cards change often: a full disk is told of once for each lease.
        if (isSkeinError(error) && error.code === 'stale-lease') return;
        if (this.#refused?.epoch === greatest.epoch) return;
        this.#refused = greatest;
        logger.error({ error, ...greatest }, 'a lease can not be written down; no stage is taken from its holder');
      },
    );
  }

  /** Tells once of each coordinator whose claim no take-over can have reached. */
  #tell(claim: Lease | undefined): void {
    if (claim === undefined || claim.holder === this.#unbelieved) return;
    this.#unbelieved = claim.holder;
    this.#components.logger.warn(
      { ...claim },
      'a coordinator claims an epoch that no take-over can have reached, and is not obeyed; `skein revoke` it',
    );
  }

  #show(): void {
    const now = JSON.stringify(this.describe());
    if (now === this.#shown) return;
    this.#shown = now;
    this.#components.onChange();
  }
}
