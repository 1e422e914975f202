import type { Mesh } from '@skein/mesh';
import { claimedLease, greaterLease, isSkeinError, type KnownLease, type Lease, type Logger } from '@skein/protocol';

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
    const claims = mesh.cards.snapshot().flatMap((card) => claimedLease(card) ?? []);
    const greatest = claims.reduce<Lease | undefined>(greaterLease, undefined);
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

  #show(): void {
    const now = JSON.stringify(this.describe());
    if (now === this.#shown) return;
    this.#shown = now;
    this.#components.onChange();
  }
}
