import { untilAborted, type Mesh } from '@skein/mesh';
import { asSkeinError, type Logger } from '@skein/protocol';

export interface FreshCardsComponents {
  readonly mesh: Pick<Mesh, 'cards' | 'freshCard'>;
  readonly logger: Logger;
}

/**
 * Asks peers with GPUs for their cards as they are now, before a plan is made: what their cards say of the GPUs' memory
 * may be a minute old, and other programs use GPUs as well.
 */
export class FreshCards {
  readonly #components: FreshCardsComponents;
  readonly #timeoutMs: number;
  /** The questions under way, by peer: plans that are made at the same time share them. */
  readonly #asking = new Map<string, Promise<void>>();

  /** @param timeoutMs longest wait for all of them */
  constructor(components: FreshCardsComponents, { timeoutMs }: { readonly timeoutMs: number }) {
    this.#components = components;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Gets the cards. A peer that does not answer in time keeps the card that it has, which is logged.
   *
   * @throws SkeinError `aborted` when the signal aborts
   */
  async get(signal: AbortSignal): Promise<void> {
    const peers = this.#components.mesh.cards.snapshot().filter(({ hardware }) => (hardware?.gpus ?? []).length > 0);
    await untilAborted(Promise.all(peers.map(async ({ peer }) => await this.#ask(peer))), signal);
  }

  async #ask(peer: string): Promise<void> {
    const asking =
      this.#asking.get(peer) ??
      this.#components.mesh
        .freshCard(peer, { signal: AbortSignal.timeout(this.#timeoutMs) })
        .catch((error: unknown) => {
          const { code, message } = asSkeinError(error);
          this.#components.logger.warn({ peer, code, reason: message }, 'a peer is planned by a card that may be old');
        })
        .finally(() => this.#asking.delete(peer));
    this.#asking.set(peer, asking);
    await asking;
  }
}
