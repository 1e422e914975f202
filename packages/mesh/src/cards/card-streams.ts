import type { Logger } from '@skein/protocol';

import type { FrameStream } from '../streams/frame-stream.ts';
import { pause } from '../streams/wait.ts';
import type { Gossip } from './gossip.ts';

export interface CardStreamsComponents {
  readonly gossip: Gossip;
  readonly logger: Logger;
  /** Tells whether we are connected to a member, by a connection that we dialled. */
  readonly isOurs: (peerId: string) => boolean;
  /** Opens a card stream. */
  readonly open: (peerId: string) => Promise<FrameStream>;
}

const reopenMs = 1000;

/** Card streams of ours, one open to each member that we dialled, for as long as we are connected. */
export class CardStreams {
  readonly #components: CardStreamsComponents;
  readonly #peers = new Set<string>();
  readonly #stopping = new AbortController();

  constructor(components: CardStreamsComponents) {
    this.#components = components;
  }

  /**
   * Keeps a stream open to a member that we dialled. Resolves when our connection to it is gone. Does nothing for one
   * that is kept already.
   */
  async keep(peerId: string): Promise<void> {
    if (this.#peers.has(peerId)) return;
    this.#peers.add(peerId);
    const { gossip, logger, isOurs, open } = this.#components;
    const wanted = (): boolean => isOurs(peerId) && !this.#stopping.signal.aborted;
    while (wanted()) {
      try {
        await gossip.exchange(peerId, await open(peerId));
      } catch (error) {
        logger.debug({ peer: peerId, error }, 'a card stream was lost');
      }
      if (wanted()) await pause(reopenMs, this.#stopping.signal);
    }
    this.#peers.delete(peerId);
  }

  stop(): void {
    this.#stopping.abort();
  }
}
