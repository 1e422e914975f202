import type { Method } from '@skein/protocol';

import type { StreamLimits } from '../streams/frame-stream.ts';
import { InboundBudget } from '../streams/inbound-budget.ts';
import { TokenBucket } from '../streams/token-bucket.ts';

/** Most bytes of large frames of one member: three of the longest. Engines send a few mebibytes at most. */
const maxHeldBytes = 128 * 1024 * 1024;
/**
 * Rate at which one member is read: more than prompts, cards and requests of any use, namely text for a million tokens
 * a second.
 */
const pace = { unitsPerSecond: 4 * 1024 * 1024, burst: 32 * 1024 * 1024 };

/** Bounds on the bytes that members make us read and hold, by member. One per mesh. */
export class RemoteLimits {
  readonly #remotes = new Map<string, { readonly held: InboundBudget; readonly pace: TokenBucket }>();

  /** Notes that the last connection to a member is gone, and with it all held frames. */
  forget(peerId: string): void {
    this.#remotes.delete(peerId);
  }

  of(peerId: string, { isBulk }: Method): StreamLimits {
    let remote = this.#remotes.get(peerId);
    if (remote === undefined) {
      remote = { held: new InboundBudget({ maxBytes: maxHeldBytes }), pace: new TokenBucket(pace, performance.now()) };
      this.#remotes.set(peerId, remote);
    }
    return { held: remote.held, pace: isBulk ? undefined : remote.pace };
  }
}
