import { parseHeader, revocationsSchema, type Logger } from '@skein/protocol';

import type { StreamHandler } from '../connections/serve.ts';
import type { FrameStream } from '../streams/frame-stream.ts';
import type { Membership } from './membership.ts';

export interface RevocationSpreadComponents {
  readonly membership: Membership;
  readonly logger: Logger;
  readonly connectedPeers: () => readonly string[];
  /** Opens a stream of the method for revocation lists. */
  readonly open: (peerId: string) => Promise<FrameStream>;
}

const sendTimeoutMs = 2000;

/** The spread of the newest revocation list: every member that gets a newer one passes it on. */
export class RevocationSpread {
  readonly #components: RevocationSpreadComponents;

  constructor(components: RevocationSpreadComponents) {
    this.#components = components;
  }

  /** Takes a list from another member. */
  readonly receive: StreamHandler = async (stream, { peerId }) => {
    const frame = await stream.read();
    const { list } = parseHeader(revocationsSchema, frame?.header);
    if (await this.#components.membership.adopt(list)) this.tellAll(peerId);
  };

  /** Notes that a member has connected that knows a list of this version. */
  greet(peerId: string, version: number): void {
    if (version < this.#components.membership.revocations.version) void this.#tell(peerId);
  }

  /** Passes the list on to everybody, except for the member that it came from. */
  tellAll(from?: string): void {
    for (const peerId of this.#components.connectedPeers()) if (peerId !== from) void this.#tell(peerId);
  }

  async #tell(peerId: string): Promise<void> {
    const { membership, logger, open } = this.#components;
    try {
      const stream = await open(peerId);
      const bounds = { timeoutMs: sendTimeoutMs };
      await stream.write({ type: 'revocations', list: { ...membership.credentials.revocations } }, undefined, bounds);
      await stream.end(bounds);
    } catch (error) {
      // It hears of it from others, or when it connects again.
      logger.debug({ peer: peerId, error }, 'could not pass the revocation list on');
    }
  }
}
